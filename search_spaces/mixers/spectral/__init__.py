"""Mixers that filter spatial frequencies."""
