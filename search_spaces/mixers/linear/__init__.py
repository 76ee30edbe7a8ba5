"""Mixers whose cost is linear in positions: queries attend to a summary of keys and values."""
