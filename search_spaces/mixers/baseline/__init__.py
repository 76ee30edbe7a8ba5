"""Mixers that mix nothing: what every other one is compared with."""
