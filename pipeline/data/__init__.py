"""Arrays of the data set on disk: splits and class names."""
