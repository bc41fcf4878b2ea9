"""A project of its own around a folder of photos: `make study DIR=../flowers PHOTOS=~/flowers`."""
