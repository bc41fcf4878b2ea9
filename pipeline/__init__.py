"""Small Keras CNNs on CIFAR-10 as a reproducible DVC pipeline: one module per stage of dvc.yaml."""
