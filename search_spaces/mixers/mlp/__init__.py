"""Mixers that are perceptrons over positions, with or without gates."""
