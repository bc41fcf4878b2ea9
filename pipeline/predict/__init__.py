"""Classify photos by a trained model: `python -m pipeline.predict PHOTO...`."""
