"""What every sampler and every supervision keeps when a recipe trades time for memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
