"""What searchers learn from the gradients of the supernet."""
