"""Mixers that weigh positions by their likeness."""
