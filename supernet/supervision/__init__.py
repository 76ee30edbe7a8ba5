"""What children learn from: one way of teaching per file."""
