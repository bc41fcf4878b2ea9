"""Stage evaluate@variant: how good a trained model is on the test set."""
