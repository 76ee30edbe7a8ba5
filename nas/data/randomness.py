"""Random numbers that depend on a seed and a purpose, never on what ran before.

Each purpose draws from a stream of its own, so that adding draws to one leaves the others as they
were, and step 1000 can be drawn without drawing the 999 before it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for. The values are part of every result: never renumber."""

    TEST_SPLIT = 0
    VALIDATION_SPLIT = 1
    ORDER = 2
    GEOMETRY = 3
    RANDAUGMENT = 4
    MIXING = 5


def generator(seed: int, stream: Stream, counter: int = 0) -> np.random.Generator:
    """The generator of one purpose at one moment, such as the order of epoch `counter`."""
    return np.random.default_rng((seed, stream, counter))


@contextmanager
def global_seed(seed: int, stream: Stream, counter: int = 0) -> Iterator[None]:
    """Seeds Python's and NumPy's global generators, and puts back what they were.

    For libraries that take no generator (timm's RandAugment and Mixup).
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    words = np.random.SeedSequence((seed, stream, counter)).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
