"""Training one network to the end, and its final score on the test split.

    retrain(network, data, recipe, seed=0)      from shared weights or from scratch
    score_test(network, dataset)                opens the test split

`NetworkResult` is what a run folder keeps of it.
"""

from __future__ import annotations

from nas.retrain.recipe import (
    default_recipe,
    fine_tune_recipe,
    retrain_augmentation,
    short_epochs,
)
from nas.retrain.result import NetworkResult
from nas.retrain.score import score_test, score_validation
from nas.retrain.trainer import fresh_network, retrain

__all__ = [
    "NetworkResult",
    "default_recipe",
    "fine_tune_recipe",
    "fresh_network",
    "retrain",
    "retrain_augmentation",
    "score_test",
    "score_validation",
    "short_epochs",
]
