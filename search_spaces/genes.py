"""Genes: the positions of a code, each an ordered list of choices.

A gene is ordinal (a width) or a family with its options flattened (a mixer). It knows which
choices are neighbours, how to draw one, its extremes and the features that a surrogate sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Choice
from search_spaces.family import Family, Options, Value
from search_spaces.ramps import Ramp
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
    idle: str = "none"
    """The kind with which a block does nothing."""

    @property
    def role(self) -> str:
        """The last word of the name; genes of one role make the same kind of choice."""
        return self.name.rpartition(".")[2]

    @property
    def factor(self) -> str:
        """The name without the block: genes of one factor are scaled together."""
        stage, _, rest = self.name.partition(".blocks.")
        return f"{stage}.{self.role}" if rest else self.name

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of option steps of each choice above the least expensive choice of its kind."""
        return tuple(sum(ranks) for ranks in self.ranks)

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
        """For each choice, the choices that are one step away in one option.

        Returns:
            Their indices (card, most), padded with 0, and how many there are (card,).
        """
        place = {key: i for i, key in enumerate(zip(self.kinds, self.ranks, strict=True))}
        near = [
            sorted(place[kind, moved] for moved in _one_step(ranks) if (kind, moved) in place)
            for kind, ranks in zip(self.kinds, self.ranks, strict=True)
        ]
        counts = np.array([len(row) for row in near], dtype=np.int16)
        table = np.zeros((self.cardinality, max(1, int(counts.max(initial=0)))), dtype=np.int16)
        for i, row in enumerate(near):
            table[i, : len(row)] = row
        return table, counts

    def extreme(self, largest: bool, order: Mapping[str, float] | None = None) -> int:
        """The choice at one end of the reference kind, or of the kind that is first in an order.

        If `none` is a choice, it is the smallest one. The largest one is never of a kind with
        which the block does nothing, unless there is no other.
        """
        kinds = list(dict.fromkeys(self.kinds))
        if "none" in kinds and not largest:
            return self.kinds.index("none")
        present = [kind for kind in kinds if not (largest and kind == self.idle)] or kinds
        kind = self.reference if self.reference in present else present[0]
        if order is not None:
            kind = min(present, key=order.__getitem__)
        members = [i for i, k in enumerate(self.kinds) if k == kind]
        return (max if largest else min)(members, key=lambda i: (sum(self.ranks[i]), i))


def ordinal(name: str, choices: Sequence[int]) -> Gene:
    """A gene whose choices are numbers in ascending order."""
    n = len(choices)
    ranks = tuple((i,) for i in range(n))
    return Gene(name, tuple(choices), ("",) * n, ranks, "", (1.0,) * n)


def names(name: str, choices: Sequence[str]) -> Gene:
    """A gene whose choices are names without options, such as layouts; none is larger."""
    made = tuple(Choice(choice, Options()) for choice in choices)
    return Gene(name, made, tuple(choices), ((),) * len(made), choices[0], (1.0,) * len(made))


def ramps(name: str, choices: Sequence[Ramp]) -> Gene:
    """A gene whose choices are ramps; its neighbours have one end a step further."""
    ends = [sorted(set(values)) for values in zip(*choices, strict=True)]
    ranks = tuple(tuple(map(list.index, ends, choice)) for choice in choices)
    n = len(choices)
    return Gene(name, tuple(choices), ("",) * n, ranks, "", (1.0,) * n)


def families(
    name: str,
    choices: Sequence[Choice],
    registry: Registry[Family],
    reference: str | None = None,
    weights: Mapping[str, float] | None = None,
    block: tuple[int, int] | None = None,
    idle: str = "none",
) -> Gene:
    """A gene whose choices are families with their options; kinds are drawn before options."""
    kinds = tuple(choice.kind for choice in choices)
    shares = tuple((weights or {}).get(kind, 1.0) / kinds.count(kind) for kind in kinds)
    ranks = _ranks(choices, registry)
    return Gene(name, tuple(choices), kinds, ranks, reference or kinds[0], shares, block, idle)


def feature_tables(genes: Sequence[Gene]) -> list[Floats]:
    """Features of each gene's choices for surrogates, (card, features) each, all within [0, 1].

    A number gives its logarithm, from 0 at the gene's smallest to 1 at its largest, and a ramp
    those of its ends. A family gives
    one column per kind and one per option: 0 if it is absent, else from 1/2 at the smallest
    value that the space offers to 1 at the largest. All genes of a role share these columns, so
    equal choices look equal in every block. Options of two families share a column only if they
    declare the same meaning.
    """
    words = {c: _words_of(c) for gene in genes for c in gene.choices if isinstance(c, Choice)}
    spans: dict[str, dict[str, tuple[float, float]]] = {}
    for role, choices in dict.fromkeys((gene.role, gene.choices) for gene in genes):
        span = spans.setdefault(role, {})
        for choice in choices:
            for word, value in words.get(choice, {}).items():
                low, high = span.get(word, (value, value))
                span[word] = min(low, value), max(high, value)
    tables: dict[tuple[Any, ...], Floats] = {}
    for gene in genes:
        if (gene.role, gene.choices) not in tables:
            tables[gene.role, gene.choices] = _table(gene.choices, words, spans[gene.role])
    return [tables[gene.role, gene.choices] for gene in genes]


def _table(
    choices: tuple[Any, ...],
    words: Mapping[Choice, Mapping[str, float]],
    spans: Mapping[str, tuple[float, float]],
) -> Floats:
    if not isinstance(choices[0], Choice):
        values = np.log1p(np.array(choices, dtype=np.float64).reshape(len(choices), -1))
        spread = np.maximum(values.max(axis=0) - values.min(axis=0), 1e-12)
        scaled: Floats = ((values - values.min(axis=0)) / spread).astype(np.float32)
        return scaled
    column = {word: i for i, word in enumerate(spans)}
    table = np.zeros((len(choices), len(spans)), dtype=np.float32)
    for row, choice in zip(table, choices, strict=True):
        for word, value in words[choice].items():
            low, high = spans[word]
            share = (value - low) / (high - low) if high > low else 1.0
            row[column[word]] = 0.5 + 0.5 * share
    return table


def _words_of(choice: Choice) -> dict[str, float]:
    """Features of a choice by name: its kind, and each option as a number."""
    words, said = {choice.kind: 1.0}, choice.options.said()
    for field in dataclasses.fields(choice.options):
        if field.name not in said:
            continue
        value = said[field.name]
        word = f".{field.metadata['meaning'] or f'{choice.kind}.{field.name}'}"
        if isinstance(value, str):
            words[f"{word}={value}"] = 1.0
        else:
            words[word] = float(np.log1p(float(value)))
    return words


def _one_step(ranks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Ranks that differ by one in one option."""
    for i, rank in enumerate(ranks):
        for other in (rank - 1, rank + 1):
            yield (*ranks[:i], other, *ranks[i + 1 :])


def _ranks(choices: Sequence[Choice], registry: Registry[Family]) -> tuple[tuple[int, ...], ...]:
    """Position of each option among the values that this gene offers, least expensive first."""
    members: dict[str, list[Choice]] = {}
    for choice in choices:
        members.setdefault(choice.kind, []).append(choice)
    offered: dict[str, dict[str, list[Value]]] = {}
    for kind, own in members.items():
        used = {key: {getattr(c.options, key) for c in own} for key in registry[kind].choices()}
        offered[kind] = {
            key: [value for value in values if value in used[key]]
            for key, values in registry[kind].choices().items()
        }
    return tuple(
        tuple(
            values.index(getattr(choice.options, key))
            for key, values in offered[choice.kind].items()
        )
        for choice in choices
    )
