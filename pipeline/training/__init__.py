"""Stage train@variant: from settings and arrays to a trained Keras model."""
