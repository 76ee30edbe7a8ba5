"""What every sampler and every supervision keeps under the switches of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from supernet.method import Method
from supernet.sampling import SAMPLERS
from supernet.supervision import SUPERVISIONS

PAIRS = [(sampler, SUPERVISIONS["labels"]) for sampler in SAMPLERS]
PAIRS += [(SAMPLERS["sandwich"], supervision) for supervision in SUPERVISIONS]
every_pair = pytest.mark.parametrize(
    ("sampler", "supervision"), PAIRS, ids=lambda method: method.name
)


@every_pair
def test_a_step_in_parts_has_the_losses_of_the_whole(
    sampler: Method, supervision: Method, train_toy: Callable[..., Any]
) -> None:
    whole = train_toy(sampler, supervision, epochs=1)
    parts = train_toy(sampler, supervision, epochs=1, micro_batch=3)
    assert parts.curve[0]["loss"] == pytest.approx(whole.curve[0]["loss"], rel=1e-4)


@every_pair
def test_activations_computed_again_give_the_same_weights(
    sampler: Method, supervision: Method, train_toy: Callable[..., Any]
) -> None:
    kept = train_toy(sampler, supervision, epochs=1)
    assert train_toy(sampler, supervision, epochs=1, recompute_activations=True).same(kept)


@every_pair
@pytest.mark.parametrize("projected", ["children", "teacher"])
def test_projected_gradients_train(
    sampler: Method, supervision: Method, projected: str, train_toy: Callable[..., Any]
) -> None:
    trained = train_toy(sampler, supervision, epochs=1, gradient_projection=projected)
    assert all(torch.isfinite(weight).all() for weight in trained.weights.values())
    assert np.isfinite(list(trained.curve[0].values())).all()


@every_pair
def test_updates_after_each_child_train_and_continue_to_the_same(
    sampler: Method, supervision: Method, train_toy: Callable[..., Any]
) -> None:
    trained = train_toy(sampler, supervision, update_each_child=True)
    assert trained.same(train_toy(sampler, supervision, update_each_child=True, kill_at=3))
    assert all(torch.isfinite(weight).all() for weight in trained.weights.values())
    together = train_toy(sampler, supervision)
    whole = ("ranking", "masked", "sharpness-aware")
    one_update = sampler.name == "uniform" or supervision.name in whole
    assert trained.same(together) == one_update
