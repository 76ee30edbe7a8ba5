"""The training loop that supernet and retraining share."""
