"""Evolution of codes that minimises a value known without an evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.search.protocol import Codes, CodeSpace, Floats

_SAMPLES = 1024
_GENERATIONS = 60
_STALE = 8
"""The descent ends after this number of generations without progress."""
_BROOD = 256
_KEPT = 64


def descend(
    space: CodeSpace,
    value: Callable[[Codes], Floats],
    rng: np.random.Generator,
    start: Codes | None = None,
    enough: float = -np.inf,
) -> Codes:
    """Evolve codes that minimise `value`; returns the best 64 found, best first.

    Args:
        space: The space of the codes.
        value: The value to minimise, (n, genes) to (n,).
        rng: Source of randomness.
        start: Codes to begin with, in addition to 1,024 samples.
        enough: Stop when this value is reached.
    """
    codes = space.sample(_SAMPLES, rng)
    if start is not None and len(start):
        codes = np.concatenate([np.asarray(start, dtype=codes.dtype), codes])
    codes, values = _best(codes, value(codes))
    stale = 0
    for _ in range(_GENERATIONS):
        if values[0] <= enough or stale == _STALE:
            break
        first, second = codes[rng.integers(len(codes), size=(2, _BROOD))]
        children = np.concatenate(
            [
                space.mutate(codes[rng.integers(len(codes), size=_BROOD)], rng),
                space.crossover(first, second, rng),
            ]
        )
        children = children[np.asarray(space.contains(children), dtype=bool)]
        before = values[0]
        codes, values = _best(
            np.concatenate([codes, children]), np.concatenate([values, value(children)])
        )
        stale = 0 if values[0] < before else stale + 1
    return codes


def _best(codes: Codes, values: Floats, keep: int = _KEPT) -> tuple[Codes, Floats]:
    """The `keep` distinct codes with the least values, best first."""
    _, first = np.unique(codes, axis=0, return_index=True)
    order = first[np.argsort(values[first], kind="stable")][:keep]
    return codes[order], values[order]
