"""Stage explore: a look at the data before it is used."""
