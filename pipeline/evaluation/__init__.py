"""Stage evaluate@variant: metrics and predictions of a trained model on the test set."""
