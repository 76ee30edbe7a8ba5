"""The brief: everything that a searcher gets at its start."""

from __future__ import annotations

from dataclasses import dataclass

from nas.search.protocol import CodeSpace, Constraints, ExcessBySet, Gradients, KnownObjectives


@dataclass(frozen=True)
class Brief:
    """The search as a searcher sees it, before the first ask."""

    space: CodeSpace
    seed: int
    """A searcher's choices depend on the seed and on what was asked and told, on nothing else."""
    constraints: Constraints | None = None
    """Codes to (n, k), feasible where all are <= 0; infeasible codes must not be asked."""
    known_objectives: KnownObjectives | None = None
    """All objectives but the first, exact, also of codes that were not evaluated."""
    excess_by_set: ExcessBySet | None = None
    """Codes to (n, sets), <= 0 where a code is within that budget set. None if there is only one
    budget set, because every feasible code is within it."""
    evaluations: int | None = None
    """Number of evaluations of the whole search; None if it is not known."""
    gradients: Gradients | None = None
    """Losses and gradients of the supernet, for the searchers that learn from them."""
    may_repeat: bool = False
    """Whether a foreign search tool may evaluate a code twice, as it does by itself. Our own
    searchers never do."""
