"""Mixers whose cost grows linearly with positions: queries meet a summary of keys and values."""
