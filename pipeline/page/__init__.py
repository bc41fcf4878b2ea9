"""Stage page: the results and a network that classifies images, in one HTML file."""
