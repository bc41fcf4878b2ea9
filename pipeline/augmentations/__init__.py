"""Augmentations, a file each; a variant names its own by `augmentation.kind`."""
