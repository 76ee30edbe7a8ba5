"""Fitting the GPU model to published times; only scripts use it."""
