"""Optimizers, a file each, with the recipe settings of each; a variant names its own."""
