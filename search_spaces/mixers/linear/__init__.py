"""Mixers whose cost grows linearly with the number of positions, by products of keys and values."""
