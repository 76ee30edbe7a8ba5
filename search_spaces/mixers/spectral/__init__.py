"""Mixers that work on spatial frequencies."""
