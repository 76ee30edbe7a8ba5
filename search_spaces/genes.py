"""Genes: the few decisions that codes are made of, each an ordered list of choices.

A gene is ordinal (a width) or a family with its options flattened (a mixer). It knows which
choices are neighbours, how to draw one, its extremes and the features that a surrogate sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Choice
from search_spaces.registry import Registry

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Gene:
    """One position of the codes.

    `block` is (stage, block) for genes of a block, which are inactive beyond the stage's depth.
    """

    name: str
    choices: tuple[Any, ...]
    kinds: tuple[str, ...]
    ranks: tuple[tuple[int, ...], ...]
    reference: str
    weights: tuple[float, ...]
    block: tuple[int, int] | None = None

    @property
    def cardinality(self) -> int:
        """How many choices there are."""
        return len(self.choices)

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """Distribution function of the choices: kinds by weight, then their options evenly."""
        weights = np.array(self.weights, dtype=np.float64)
        total = np.cumsum(weights / weights.sum())
        total[-1] = 1.0
        return total

    @cached_property
    def neighbours(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """For each choice those one step away in one option: (card, most) padded, counts (card,)."""
        near = [
            [j for j in range(self.cardinality) if self._distance(i, j) == 1]
            for i in range(self.cardinality)
        ]
        counts = np.array([len(row) for row in near], dtype=np.int16)
        table = np.zeros((self.cardinality, max(1, int(counts.max(initial=0)))), dtype=np.int16)
        for i, row in enumerate(near):
            table[i, : len(row)] = row
        return table, counts

    def extreme(self, largest: bool, rng: np.random.Generator | None = None) -> int:
        """The choice at one end of the reference kind, or of a kind drawn with `rng`.

        The smallest choice of a gene that can be absent (`none`) is to be absent, the largest
        never is.
        """
        kinds = list(dict.fromkeys(self.kinds))
        if "none" in kinds and not largest:
            return self.kinds.index("none")
        present = [kind for kind in kinds if kind != "none"] or kinds
        kind = self.reference if self.reference in present else present[0]
        if rng is not None:
            kind = present[int(rng.integers(len(present)))]
        members = [i for i, k in enumerate(self.kinds) if k == kind]
        return (max if largest else min)(members, key=lambda i: (sum(self.ranks[i]), i))

    def _distance(self, i: int, j: int) -> int:
        """Steps between two choices of one kind; two choices of different kinds are far apart."""
        if self.kinds[i] != self.kinds[j]:
            return 1 << 30
        pairs = zip(self.ranks[i], self.ranks[j], strict=True)
        return sum(abs(a - b) for a, b in pairs)

    def features(self, vocabulary: Sequence[str]) -> Floats:
        """What a surrogate sees of each choice, (card, features), all within [0, 1].

        Ordinal genes give their logarithm; families give one column per kind of `vocabulary`
        and one per option that varies, named `kind` and `.option`, shared between families.
        """
        if not isinstance(self.choices[0], Choice):
            values = np.log1p(np.array(self.choices, dtype=np.float64))
            return _unit(values)[:, None].astype(np.float32)
        table = np.zeros((self.cardinality, len(vocabulary)), dtype=np.float32)
        for i, choice in enumerate(self.choices):
            for word, value in words_of(choice).items():
                if word in vocabulary:
                    table[i, vocabulary.index(word)] = value
        for column in range(table.shape[1]):
            table[:, column] = _unit(table[:, column].astype(np.float64))
        return table


def ordinal(name: str, choices: Sequence[int]) -> Gene:
    """A gene whose choices are numbers in ascending order."""
    n = len(choices)
    ranks = tuple((i,) for i in range(n))
    return Gene(name, tuple(choices), ("",) * n, ranks, "", (1.0,) * n)


def families(
    name: str,
    choices: Sequence[Choice],
    registry: Registry,
    reference: str | None = None,
    weights: Mapping[str, float] | None = None,
    block: tuple[int, int] | None = None,
) -> Gene:
    """A gene whose choices are families with their options; kinds are drawn before options."""
    kinds = tuple(choice.kind for choice in choices)
    shares = tuple((weights or {}).get(kind, 1.0) / kinds.count(kind) for kind in kinds)
    ranks = _ranks(choices, registry)
    return Gene(name, tuple(choices), kinds, ranks, reference or kinds[0], shares, block)


def words_of(choice: Choice) -> dict[str, float]:
    """Features of a choice by name: its kind, and each option as a number."""
    words = {choice.kind: 1.0}
    for key, value in dataclasses.asdict(choice.options).items():
        if isinstance(value, str):
            words[f".{key}={value}"] = 1.0
        else:
            words[f".{key}"] = float(np.log1p(float(value)))
    return words


def _ranks(choices: Sequence[Choice], registry: Registry) -> tuple[tuple[int, ...], ...]:
    """Position of each option among the values that this gene offers for it, cheapest first."""
    offered: dict[tuple[str, str], list[Any]] = {}
    for choice in choices:
        for key, values in registry[choice.kind].choices().items():
            used = {getattr(c.options, key) for c in choices if c.kind == choice.kind}
            offered[choice.kind, key] = [v for v in values if v in used]
    return tuple(
        tuple(
            offered[choice.kind, key].index(value)
            for key, value in dataclasses.asdict(choice.options).items()
        )
        for choice in choices
    )


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to [0, 1]; a constant column is left if it already lies there, else made 1."""
    low, high = values.min(), values.max()
    if high > 1.0 or low < 0.0:
        return values / high if low == 0.0 or low == high else (values - low) / (high - low)
    return values
