"""What the files of reports/ hold, and how every figure looks."""
