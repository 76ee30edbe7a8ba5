"""Mixers that weight positions by their similarity (softmax attention)."""
