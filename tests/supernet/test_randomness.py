"""Streams of random numbers: apart from each other, and decided by their arguments alone."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from supernet.randomness import Stream, generator, global_seed, seeded


def _numpy(seed: int, stream: Stream, counter: int) -> float:
    return float(generator(seed, stream, counter).random())


def _torch(seed: int, stream: Stream, counter: int) -> float:
    with seeded(seed, stream, counter):
        return float(torch.rand((), dtype=torch.float64))


def _globals(seed: int, stream: Stream, counter: int) -> tuple[float, float]:
    with global_seed(seed, stream, counter):
        return random.random(), float(np.random.random())  # noqa: NPY002


@pytest.mark.parametrize("draw", [_numpy, _torch, _globals])
def test_no_two_streams_give_equal_numbers(draw: Callable[..., object]) -> None:
    places = list(itertools.product((0, 7), Stream, range(12)))
    assert len({draw(*place) for place in places}) == len(places)


def test_no_stream_is_a_plain_generator_of_the_same_seed() -> None:
    plain = [np.random.default_rng(7), *(np.random.default_rng((7, i)) for i in range(20))]
    plain += [np.random.default_rng((7, i, j)) for i in range(12) for j in range(12)]
    others = {float(rng.random()) for rng in plain}
    for stream, counter in itertools.product(Stream, range(12)):
        assert _numpy(7, stream, counter) not in others


def test_global_generators_are_put_back() -> None:
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    _torch(1, Stream.STEP, 0)
    _globals(1, Stream.MIXING, 0)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == states
