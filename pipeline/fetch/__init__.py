"""Stage fetch: the official files, from whichever mirror serves them."""
