"""The data set: the official files of CIFAR-10, and the arrays that are made of them."""
