"""Mixers that mix nothing: the baseline for every other mixer."""
