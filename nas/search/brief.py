"""What a searcher is given at its start."""

from __future__ import annotations

from dataclasses import dataclass

from nas.search.protocol import Answers, Cheap, CodeSpace, Constraints


@dataclass(frozen=True)
class Brief:
    """The search as a searcher sees it, before the first ask."""

    space: CodeSpace
    seed: int
    """With the asks and tells, all that a searcher's choices depend on."""
    constraints: Constraints | None = None
    """Codes to (n, k), feasible where <= 0; nothing else is asked."""
    cheap: Cheap | None = None
    """All objectives but the first, exactly, for codes not evaluated yet."""
    answers: Answers | None = None
    """Codes to (n, a): which of the search's questions, such as one of several budgets, a code
    can be the answer to; None where every feasible code answers the only one."""
    evaluations: int | None = None
    """How many evaluations will be made in all; None where that is open."""
    lessons: object | None = None
    """Gradients of the supernet, for the searchers that learn from them."""
