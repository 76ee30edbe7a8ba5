"""Mixers that weigh positions by how alike they are (softmax attention)."""
