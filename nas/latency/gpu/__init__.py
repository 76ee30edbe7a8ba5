"""Latency on a GPU: a model of kernels' times for any, and measurements that correct it for one.

launches.py     what a runtime launches for a traced network
times.py        milliseconds of launches on a device, from fitted numbers
model.py        these numbers as they are shipped (`model.json`), with what they rest on
public.py       published measurements that they are fitted to
fitting.py      how they are fitted; `scripts/fit_gpu_model.py` runs it
validation.py   how well that predicts what it was not fitted on
predictor.py    populations of a space and single networks, with intervals

cuda.py         all that is asked of CUDA
machine.py      networks timed on the GPU at hand
kernels.py      single kernels timed there; `scripts/profile_gpu.py` does so
terms.py        what the model's time of a network is the sum of
calibrate.py    these terms corrected by networks that were timed
profile.py      the corrected model as it is kept, and its predictions
"""
