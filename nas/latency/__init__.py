"""Costs that are counted, latencies that are measured, and predictions of them.

    Target          device, runtime, precision, layout, batch, resolution, threads
    trace           any module to the operations it runs
    CostTable       MACs, parameters and activation memory of populations
    predictor_for   latencies of populations, each with its interval
    predict_module  any network on the processor at hand, from its operations
    measure_finalists  whole networks on the device at hand

Names are imported when they are used: `nas hardware` needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.latency.cost import Cost as Cost
    from nas.latency.cost import CostTable as CostTable
    from nas.latency.cost import cost_of as cost_of
    from nas.latency.operations.predictor import predict_module as predict_module
    from nas.latency.prediction import Prediction as Prediction
    from nas.latency.prediction import Predictor as Predictor
    from nas.latency.predictors import measured_predictor as measured_predictor
    from nas.latency.predictors import predictor_for as predictor_for
    from nas.latency.profiles.parts import PartsPredictor as PartsPredictor
    from nas.latency.profiles.plan import Plan as Plan
    from nas.latency.target import Target as Target
    from nas.latency.timing.machine import Effort as Effort
    from nas.latency.timing.measure import measure_finalists as measure_finalists
    from nas.latency.timing.measure import measure_networks as measure_networks
    from nas.latency.timing.samples import Measurement as Measurement
    from nas.latency.tracing.operations import Operation as Operation
    from nas.latency.tracing.trace import trace as trace

_HOMES = {
    "Cost": "cost",
    "CostTable": "cost",
    "Effort": "timing.machine",
    "Measurement": "timing.samples",
    "Operation": "tracing.operations",
    "PartsPredictor": "profiles.parts",
    "Plan": "profiles.plan",
    "Prediction": "prediction",
    "Predictor": "prediction",
    "Target": "target",
    "cost_of": "cost",
    "measure_finalists": "timing.measure",
    "measure_networks": "timing.measure",
    "measured_predictor": "predictors",
    "predict_module": "operations.predictor",
    "predictor_for": "predictors",
    "trace": "tracing.trace",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
