"""A foreign search tool as a searcher: its proposals are turned into codes of the space.

    propose -> genes, each chosen on its own -> canonical code, or the nearest in the table
            -> breaks a constraint?  reported as infeasible, another proposal; not an evaluation
            -> asked before?         evaluated again (`repeats`), or its result is reported
                                     again, another proposal
            -> ask() ... tell() -> report

Foreign tools choose genes independently, propose codes twice, and learn of a constraint only by
breaking it. The number of further proposals is limited. After that, a searcher without repeats
asks a random fresh code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nas.errors import SpaceError
from nas.search.asking.candidates import Candidates
from nas.search.asking.listing import code_key
from nas.search.brief import Brief
from nas.search.protocol import Categorical, Codes, CodeSpace, Floats

TRIES = 500
"""Number of further proposals for one evaluation."""


@runtime_checkable
class Canonical(Protocol):
    """A space in which not every combination of genes is a code."""

    def canonical(self, codes: Codes) -> Codes:
        """The canonical codes of freely chosen genes: (n, genes)."""


@runtime_checkable
class Sparse(Protocol):
    """A space of listed codes: a free choice of genes is rarely one of them."""

    def nearest(self, code: Codes, asked: Codes) -> Codes:
        """The listed code nearest to `code` (genes,); if possible not in `asked` (n, genes)."""


class NamedGene(Protocol):
    """One gene of a code, as a person reads it."""

    @property
    def name(self) -> str:
        """What the gene decides."""

    @property
    def choices(self) -> Sequence[object]:
        """What its values 0, 1, ... mean."""


@dataclass(frozen=True)
class Proposal:
    """Genes (genes,) that a tool wants evaluated, and the tool's own number for them."""

    number: int
    genes: Codes


class Tool(Protocol):
    """A foreign optimiser over independent categories; everything is minimised."""

    def propose(self) -> Proposal:
        """The next genes to evaluate; several proposals may be open at once."""

    def report(
        self, proposal: Proposal, code: Codes, objectives: Floats | None, constraints: Floats
    ) -> None:
        """The result of a proposal, reported once for each.

        Args:
            proposal: The proposal.
            code: The canonical code of its genes, (genes,).
            objectives: (m,), NaN where they were not evaluated because the code is infeasible;
                None for an evaluation that failed.
            constraints: (k,), k >= 0, feasible where all are <= 0.
        """


class ForeignSearcher:
    """A tool behind `ask` and `tell`.

    Args:
        tool: A tool over `cardinalities_of(brief.space)`.
        brief: The search.
        repeats: Whether a code may be asked twice if the tool proposes it twice. If not, its
            result is reported to the tool again, and the tool makes another proposal.
        tries: Number of further proposals for one evaluation.
    """

    def __init__(self, tool: Tool, brief: Brief, *, repeats: bool, tries: int = TRIES) -> None:
        self._tool, self._space, self._repeats, self._tries = tool, brief.space, repeats, tries
        rng = np.random.default_rng(brief.seed)
        self._candidates = Candidates(brief.space, rng, brief.constraints)
        self._constraints, self._known = brief.constraints, brief.known_objectives
        self._asked: list[Codes] = []
        self._pending: dict[bytes, list[Proposal]] = {}
        self._told: dict[bytes, Floats | None] = {}
        """The told objectives of each code; None for a failed evaluation."""

    def ask(self, n: int) -> Codes:
        """At most `n` codes: (<= n, genes); fewer when no more are found."""
        asked: list[Codes] = []
        while len(asked) < n:
            code = self._next()
            if code is None:
                break
            asked.append(code)
        return np.stack(asked) if asked else self._candidates.empty()

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """The objectives (n, m) of codes; NaN where the evaluation failed."""
        for code, row in zip(codes, np.asarray(objectives, dtype=float), strict=True):
            key = code_key(code)
            self._told[key] = row if np.isfinite(row).all() else None
            waiting = self._pending.pop(key, [])
            if waiting:
                self._report(waiting[0], code, self._told[key])
            if waiting[1:]:
                self._pending[key] = waiting[1:]

    def _next(self) -> Codes | None:
        """The next code to evaluate, (genes,)."""
        for _ in range(self._tries):
            proposal = self._tool.propose()
            code = self._code(proposal.genes)
            key = code_key(code)
            if not self._candidates.feasible(code[None])[0]:
                self._report(proposal, code, self._unevaluated(code))
            elif self._repeats or not (key in self._told or key in self._pending):
                self._pending.setdefault(key, []).append(proposal)
                self._candidates.mark(code[None])
                self._asked.append(code)
                return code
            else:
                self._report(proposal, code, self._told.get(key))
        if self._repeats:
            return None
        fresh: Codes
        for fresh in self._candidates.take(1):
            self._pending[code_key(fresh)] = []  # nobody proposed it
            return fresh
        return None

    def _code(self, genes: Codes) -> Codes:
        """The canonical code of freely chosen genes: (genes,)."""
        if isinstance(self._space, Sparse) and not self._space.contains(genes[None])[0]:
            asked = np.stack(self._asked) if self._asked else self._candidates.empty()
            return self._space.nearest(genes, asked)
        code: Codes = canonical(self._space, genes[None])[0]
        return code

    def _values(self, code: Codes) -> Floats:
        """The constraints of a code: (k,)."""
        if self._constraints is None or not self._space.contains(code[None])[0]:
            return np.empty(0)
        values: Floats = np.asarray(self._constraints(code[None]), dtype=float).reshape(-1)
        return np.nan_to_num(values, nan=np.inf)

    def _unevaluated(self, code: Codes) -> Floats | None:
        """Objectives of a code that is not evaluated: NaN, then the known ones."""
        if self._known is None or not self._space.contains(code[None])[0]:
            return None
        known = np.asarray(self._known(code[None]), dtype=float).reshape(-1)
        return np.concatenate([[np.nan], known])

    def _report(self, proposal: Proposal, code: Codes, objectives: Floats | None) -> None:
        self._tool.report(proposal, code, objectives, self._values(code))


def cardinalities_of(space: CodeSpace) -> tuple[int, ...]:
    """Number of categories of each gene.

    Raises:
        SpaceError: the space does not say.
    """
    if not isinstance(space, Categorical):
        raise SpaceError("Foreign search tools need a space that names its genes' cardinalities.")
    return tuple(int(count) for count in space.cardinalities)


def words_of(gene: NamedGene) -> list[str]:
    """Each choice in words, numbered where two read the same."""
    words = [str(choice) for choice in gene.choices]
    if len(set(words)) < len(words):
        words = [f"{number}: {word}" for number, word in enumerate(words)]
    return words


def canonical(space: CodeSpace, codes: Codes) -> Codes:
    """The canonical codes of freely chosen genes: (n, genes)."""
    return space.canonical(codes) if isinstance(space, Canonical) else codes


def number_of_objectives(brief: Brief) -> int | None:
    """How many objectives there are; None where they are not known beforehand."""
    if brief.known_objectives is None:
        return None
    return 1 + int(np.asarray(brief.known_objectives(_any_code(brief))).shape[1])


def number_of_constraints(brief: Brief) -> int:
    """How many constraints there are."""
    if brief.constraints is None:
        return 0
    return int(np.asarray(brief.constraints(_any_code(brief))).reshape(1, -1).shape[1])


def _any_code(brief: Brief) -> Codes:
    """Any code of the space: (1, genes)."""
    return brief.space.sample(1, np.random.default_rng(0))
