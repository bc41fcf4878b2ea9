"""What moves the weights, where Keras's own is too slow or missing."""
