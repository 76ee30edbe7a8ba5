"""What a searcher needs of a space, and what the search needs of a searcher.

A searcher sees integer codes and numbers only, so the same searcher runs on a `SearchSpace`, on a
tabular benchmark, and behind a foreign search tool.

    codes       (n, genes) integers     one architecture per row, canonical
    objectives  (n, m) floats           all minimised; a row with a NaN is a failed evaluation
    constraints (n, k) floats           known before evaluation; feasible where all are <= 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

Constraints: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, k): feasible where every column is <= 0."""

Cheap: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, m-1): every objective but the first, exact, without an evaluation."""


Answers: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, a): column i is <= 0 where a code can answer the search's question i."""


class CodeSpace(Protocol):
    """Where codes come from. Every method that returns codes returns canonical ones."""

    @property
    def num_genes(self) -> int:
        """Length of one code."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw `n` codes, repeats allowed: (n, genes)."""
        ...

    def mutate(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Change each code a little, preferring neighbours: (n, genes)."""
        ...

    def crossover(self, first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
        """Mix the codes of two parents row by row: (n, genes)."""
        ...

    def features(self, codes: Codes) -> Floats:
        """What a surrogate sees: (n, features) float32."""
        ...

    def contains(self, codes: Codes) -> Bools:
        """Which codes are architectures of this space: (n,)."""
        ...

    def size(self) -> int:
        """How many different architectures there are, exactly."""
        ...


@runtime_checkable
class Enumerable(Protocol):
    """A space small enough to list; a `CodeSpace` may offer this too."""

    def enumerate(self) -> Codes:
        """Every code of the space once: (size, genes)."""
        ...


@runtime_checkable
class Categorical(Protocol):
    """A space that says how many choices its genes have; a `CodeSpace` may offer this too."""

    @property
    def cardinalities(self) -> Sequence[int] | NDArray[np.integer[Any]]:
        """Number of choices of each gene."""
        ...


class OrderedGene(Protocol):
    """A gene whose choices are of one kind or several, those of a kind being larger or smaller."""

    @property
    def factor(self) -> str:
        """What it scales; genes of one factor are scaled together."""
        ...

    @property
    def role(self) -> str:
        """What it chooses; genes of one role follow one another in the network."""
        ...

    @property
    def kinds(self) -> Sequence[str]:
        """The kind of each choice."""
        ...

    @property
    def levels(self) -> Sequence[int]:
        """How large each choice is within its kind, 0 the smallest possible."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A space that says which choices are larger; a `CodeSpace` may offer this too."""

    @property
    def genes(self) -> Sequence[OrderedGene]:
        """One per position of a code."""
        ...

    def canonical(self, codes: Codes) -> Codes:
        """The codes that freely chosen genes stand for: (n, genes)."""
        ...

    def largest(self, rng: np.random.Generator) -> Codes:
        """The largest code of kinds drawn with `rng`: (genes,)."""
        ...


class Searcher(Protocol):
    """An `ask`/`tell` algorithm.

    Never asks a code twice, never an infeasible one, and depends on nothing but its seed and the
    asks and tells so far: replaying them restores it.
    """

    def ask(self, n: int) -> Codes:
        """At most `n` codes to evaluate: (<= n, genes); empty when nothing is left."""
        ...

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """The objectives (n, m) of codes that were asked; NaN where the evaluation failed."""
        ...
