"""pymoo's NSGA-II; every gene is a choice, and pymoo eliminates duplicates itself.

    uniform draws -> uniform crossover, each gene redrawn with chance 1/genes
                  -> the best by rank and crowding of parents and children survive

pymoo gets the results of a generation together. If the next generation is needed before all
results are there, it gets those that are.

Library: pymoo, Blank and Deb 2020, https://arxiv.org/abs/2002.04504
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.errors import missing_extra
from nas.search.foreign.tool import Proposal
from nas.search.protocol import Codes, Floats

POPULATION = 10
"""The best of 10, 20, 30, 40, 50 and 100 (the default), 50 to 200 evaluations of NAS-Bench-201."""


class PymooTool:
    """NSGA-II; see the module.

    Args:
        cardinalities: Number of categories of each gene.
        seed: Decides every choice.
        objectives: Number of objectives.
        constraints: Number of constraints.
        population: Members of a generation.

    Raises:
        MissingExtraError: pymoo is not installed.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        *,
        seed: int,
        objectives: int,
        constraints: int = 0,
        population: int = POPULATION,
    ) -> None:
        self._cardinalities = tuple(int(count) for count in cardinalities)
        self._rng = np.random.default_rng(seed)
        self._algorithm, self._problem = _nsga2(
            self._cardinalities, seed, objectives, constraints, population
        )
        self._queue: list[Any] = []
        self._open: dict[int, Any] = {}
        self._done: list[tuple[Any, Floats, Floats]] = []
        self._worst: Floats | None = None
        self._count = 0

    def propose(self) -> Proposal:
        """The next member of the generation, or of the next one when all were proposed."""
        if not self._queue:
            self._advance()
        self._count += 1
        if not self._queue:  # mating gave nothing new
            genes = self._rng.integers(self._cardinalities)
            return Proposal(self._count, genes.astype(np.int16))
        member = self._queue.pop(0)
        self._open[self._count] = member
        return Proposal(self._count, np.asarray(member.X).astype(np.int16))

    def report(
        self, proposal: Proposal, code: Codes, objectives: Floats | None, constraints: Floats
    ) -> None:
        """See `Tool`; a code that differs from the proposed genes takes their place."""
        member = self._open.pop(proposal.number, None)
        if member is None or objectives is None:
            return
        if np.isfinite(objectives).all():
            worst = objectives if self._worst is None else np.maximum(self._worst, objectives)
            self._worst = np.asarray(worst, dtype=float)
        member.X = np.array(code, dtype=member.X.dtype)
        self._done.append((member, objectives, constraints))

    def _advance(self) -> None:
        """Tell pymoo the results so far, and ask it for the next generation."""
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.population import Population
        from pymoo.problems.static import StaticProblem

        if self._done and self._worst is not None:
            members, objectives, constraints = zip(*self._done, strict=True)
            values = np.stack(objectives)
            known = {"F": np.where(np.isfinite(values), values, self._worst)}
            if self._problem.n_ieq_constr:
                known["G"] = np.stack(constraints)
            generation = Population.create(*members)
            Evaluator().eval(StaticProblem(self._problem, **known), generation)
            self._algorithm.tell(infills=generation)
            self._done = []
        offered = self._algorithm.ask()
        self._queue = [] if offered is None else list(offered)


def _nsga2(
    cardinalities: tuple[int, ...], seed: int, objectives: int, constraints: int, population: int
) -> tuple[Any, Any]:
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.core.variable import Choice
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.rm import ChoiceRandomMutation
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
    except ImportError as error:
        raise missing_extra("pymoo", "peers", "The searcher 'pymoo-nsga2'") from error
    problem = Problem(
        n_var=len(cardinalities),
        n_obj=objectives,
        n_ieq_constr=constraints,
        xl=np.zeros(len(cardinalities), dtype=int),
        xu=np.array(cardinalities) - 1,
        vtype=int,
    )
    problem.vars = {f"gene{i}": Choice(options=range(n)) for i, n in enumerate(cardinalities)}
    algorithm = NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(),
        mutation=ChoiceRandomMutation(),
        eliminate_duplicates=True,
        seed=seed,
    )
    algorithm.setup(problem, termination=NoTermination())
    return algorithm, problem
