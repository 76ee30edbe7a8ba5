"""Random numbers that depend on a seed, a purpose and a place in the run, and on nothing else.

Each purpose has a stream of its own, so that more draws for one leave the others as they were.
Step 1000 is drawn without drawing the 999 before it, so that a continued run gets the same
numbers.

    SeedSequence(seed, spawn_key=(stream, counter))

A spawn key keeps the streams apart from each other and from plain generators of the same seed,
which searchers use. Entropy alone does not: NumPy pads it with zeros, so (7, 2) and (7, 2, 0) give
the same numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purposes of random numbers. Results depend on the values, so never renumber them."""

    TEST_SPLIT = 0
    VALIDATION_SPLIT = 1
    ORDER = 2
    GEOMETRY = 3
    RANDAUGMENT = 4
    MIXING = 5
    SHARED_WEIGHTS = 6
    """Initial weights of a supernet."""
    OWN_WEIGHTS = 7
    """Initial weights of a network that is trained alone."""
    SUPERVISION = 8
    """Initial weights of a supervision."""
    CHILDREN = 9
    """The choice of a step's children."""
    STEP = 10
    """Chance within a step, such as stochastic depth."""
    ZOOM = 11
    """Parts of training images."""


def generator(seed: int, stream: Stream, counter: int = 0) -> np.random.Generator:
    """The generator of one purpose at one moment, such as the order of epoch `counter`."""
    return np.random.default_rng(_sequence(seed, stream, counter))


@contextmanager
def seeded(seed: int, stream: Stream, counter: int = 0) -> Iterator[None]:
    """Seed torch's global generators within the block, then restore them.

    Layers need this, because they take no generator.
    """
    import torch  # here, because reading and splitting data needs no torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(int(_sequence(seed, stream, counter).generate_state(1, np.uint64)[0]))
        yield


@contextmanager
def global_seed(seed: int, stream: Stream, counter: int = 0) -> Iterator[None]:
    """Seed Python's and NumPy's global generators within the block, then restore them.

    Libraries that take no generator need this (timm's RandAugment and Mixup).
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    words = _sequence(seed, stream, counter).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _sequence(seed: int, stream: Stream, counter: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(stream, counter))
