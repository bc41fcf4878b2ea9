"""Stage page: the results, and a network that answers, in one file for any browser."""
