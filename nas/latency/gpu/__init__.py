"""Latency on a GPU that need not be at hand: kernels, a model of their times, public measurements.

launches.py     what a runtime launches for a traced network
model.py        milliseconds of launches on a device; shipped as `model.json`
fitting.py      how the model is fitted; `scripts/fit_gpu_model.py` runs it
predictor.py    populations of a space and single networks, with intervals
"""
