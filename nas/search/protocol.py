"""What a searcher needs of a space, and what the search needs of a searcher.

A searcher sees integer codes and numbers only, so the same searcher runs on a `SearchSpace`, on a
tabular benchmark, and behind a foreign search tool.

    codes       (n, genes) integers     one architecture per row, canonical
    objectives  (n, m) floats           all minimised; a row with a NaN is a failed evaluation
    constraints (n, k) floats           known before evaluation; feasible where all are <= 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

Codes: TypeAlias = NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

Constraints: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, k): feasible where every column is <= 0."""

KnownObjectives: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, m-1): every objective but the first, exactly, without an evaluation."""

ExcessBySet: TypeAlias = Callable[[Codes], Floats]
"""Codes (n, genes) to (n, sets): column i is <= 0 where a code is within budget set i."""

GeneTable: TypeAlias = list[Floats]
"""One number per choice of each gene: (cardinality,) each; NaN where nothing is known."""


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
    """A gene whose choices are of one or several kinds; choices of one kind differ in size."""

    @property
    def factor(self) -> str:
        """What the gene scales; genes of one factor are scaled together."""
        ...

    @property
    def role(self) -> str:
        """What the gene chooses; genes of one role follow one another in the network."""
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
        """The canonical codes of freely chosen genes: (n, genes)."""
        ...

    def largest(self, rng: np.random.Generator) -> Codes:
        """The largest code, its kinds (such as mixer families) drawn with `rng`: (genes,)."""
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


class Gradients(Protocol):
    """What a trained supernet tells about its children, on training images chosen by `step`.

    Results depend on the arguments alone. `nas.search.gradients.supernet_gradients` computes them.
    """

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        ...

    def losses(self, codes: Codes, step: int) -> Floats:
        """The loss of each child: (n,)."""
        ...

    def changes(self, code: Codes, step: int, exact: int = 2) -> GeneTable:
        """How the loss would change with each other choice of each gene, to first order.

        Args:
            code: The child, (genes,).
            step: Which images.
            exact: For how many of the genes without a first-order answer (those that change the
                shape of a map) the other choices are run instead.
        """
        ...

    def taylor(self, code: Codes, step: int) -> GeneTable:
        """How the loss would change if the weights that a smaller choice drops were zero."""
        ...
