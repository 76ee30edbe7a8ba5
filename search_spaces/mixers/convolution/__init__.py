"""Mixers that filter neighbouring positions with learned kernels."""
