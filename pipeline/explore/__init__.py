"""Exploratory data analysis: figures and summary statistics of the three splits."""
