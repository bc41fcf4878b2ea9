"""Photo files as networks see them: the same pixels for training and for predict."""
