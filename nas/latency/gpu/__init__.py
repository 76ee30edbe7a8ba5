"""Latency on a GPU: a model of launches' times for any GPU that has a data sheet.

launches.py     what a single operation is on a GPU: a class and sizes
fusion.py       what a runtime launches for a traced network
formula.py      milliseconds of launches on a device, from fitted numbers
model.py        these numbers as they are shipped (`model.json`), and what they were fitted on
predictor.py    predictions for populations of a space and for single networks
terms.py        the sums that a predicted time consists of, which measurements correct
fit/            how the numbers are fitted to published measurements; only scripts use it
"""
