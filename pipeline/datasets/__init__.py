"""Data sets: download, folders of images, splits and the arrays made of them."""
