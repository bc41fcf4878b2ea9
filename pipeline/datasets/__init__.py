"""Data sets: download, folders of images, splits, their arrays, and an exploration of these."""
