"""Stage preprocess: whatever the data set, normalized images and one-hot labels in three splits."""
