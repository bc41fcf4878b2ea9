"""Stages side by side, on this machine or on many, by Dask."""
