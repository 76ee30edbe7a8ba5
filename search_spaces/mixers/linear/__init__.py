"""Attention whose cost grows linearly with the number of positions."""
