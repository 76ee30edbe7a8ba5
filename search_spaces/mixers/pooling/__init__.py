"""Mixers without weights, which average positions."""
