"""What a trained model says to photos: `python -m pipeline.predict PHOTO...`."""
