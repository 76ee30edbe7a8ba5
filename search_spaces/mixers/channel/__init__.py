"""Mixers that weigh channels by the whole map."""
