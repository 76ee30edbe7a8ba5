"""Mixers that average or gather neighbouring positions; they have no weights."""
