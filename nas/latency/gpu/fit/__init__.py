"""Fitting the GPU model to published measurements; only scripts use it.

public.py       the measurements, and what the measured networks launch
fitting.py      the fit; `scripts/fit_gpu_model.py` runs it
validation.py   how well it predicts what it was not fitted on
kernels.py      single operations timed on the GPU at hand; `scripts/profile_gpu.py` runs it
"""
