"""Mixers that weigh neighbouring positions with learned kernels."""
