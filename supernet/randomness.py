"""Randomness that depends on a seed and a place in a run, and on nothing else.

Torch's layers draw from its global generator; `seeded` lends it to a block of code and puts it
back. A step seeded with (seed, step) draws the same numbers whether or not the run was
interrupted before it, and leaves its caller's generator untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, *place: int) -> Iterator[None]:
    """Seed torch's global generators from (seed, *place) within the block, then restore them."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(int(np.random.SeedSequence((seed, *place)).generate_state(1)[0]))
        yield


def generator(seed: int, *place: int) -> np.random.Generator:
    """NumPy's generator of (seed, *place)."""
    return np.random.default_rng((seed, *place))
