"""Latency on a GPU that need not be at hand: kernels, a model of their times, public measurements.

launches.py     what a runtime launches for a traced network
times.py        milliseconds of launches on a device, from fitted numbers
model.py        these numbers as they are shipped (`model.json`), with what they rest on
fitting.py      how they are fitted; `scripts/fit_gpu_model.py` runs it
validation.py   how well that predicts what it was not fitted on
predictor.py    populations of a space and single networks, with intervals
"""
