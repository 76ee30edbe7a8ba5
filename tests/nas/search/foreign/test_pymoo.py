from __future__ import annotations

import numpy as np
import pytest

from nas.errors import SpaceError
from nas.search import make_searcher
from nas.search.brief import Brief
from nas.search.foreign.pymoo import POPULATION

pytest.importorskip("pymoo")


@pytest.mark.parametrize("limit", [None, 6.0])
def test_it_asks_what_pymoo_evaluates_by_itself(space, limit):
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.rm import ChoiceRandomMutation
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Formula(Problem):
        def __init__(self):
            counts = np.array(space.cardinalities)
            limits = {} if limit is None else {"n_ieq_constr": 1}
            super().__init__(n_var=4, n_obj=2, xl=0 * counts, xu=counts - 1, vtype=int, **limits)
            self.vars = {i: Choice(options=range(n)) for i, n in enumerate(counts)}

        def _evaluate(self, x, out, *arguments, **options):
            codes = x.astype(int)
            evaluated.extend(codes.tolist())
            out["F"] = space.objectives(codes)
            if limit is not None:
                out["G"] = space.latency(codes) / limit - 1

    evaluated: list[list[int]] = []
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(),
        mutation=ChoiceRandomMutation(),
    )
    minimize(Formula(), algorithm, ("n_gen", 4), seed=7, verbose=False)
    codes = np.array(evaluated)
    feasible = codes if limit is None else codes[space.latency(codes)[:, 0] <= limit]
    asked = space.search(make_searcher("pymoo-nsga2", space.brief(7, limit)), len(feasible))
    np.testing.assert_array_equal(asked, feasible)


def test_it_has_to_know_how_many_objectives_there_are(space):
    with pytest.raises(SpaceError, match="number of objectives"):
        make_searcher("pymoo-nsga2", Brief(space, 0))
