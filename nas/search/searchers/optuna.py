"""Optuna's samplers, unchanged: see `nas/search/foreign/optuna.py`.

Library: Optuna, Akiba et al. 2019, https://arxiv.org/abs/1907.10902
"""

from __future__ import annotations

from nas.search.brief import Brief
from nas.search.foreign.optuna import OptunaTool, Sampler
from nas.search.foreign.tool import ForeignSearcher, cardinalities_of, number_of_objectives
from nas.search.searchers.registry import SEARCHERS, SearcherEntry


def _register(sampler: Sampler, description: str, paper: str) -> None:
    def build(brief: Brief) -> ForeignSearcher:
        tool = OptunaTool(
            cardinalities_of(brief.space),
            sampler,
            seed=brief.seed,
            objectives=number_of_objectives(brief),
        )
        return ForeignSearcher(tool, brief, repeats=brief.may_repeat)

    SEARCHERS.register(
        SearcherEntry(
            name=f"optuna-{sampler}",
            description=description,
            paper=paper,
            build=build,
            package="optuna",
        )
    )


_register("tpe", "Optuna's tree-structured Parzen estimator.", "https://arxiv.org/abs/2304.11127")
_register("nsga2", "Optuna's NSGA-II.", "https://doi.org/10.1109/4235.996017")
_register(
    "gp",
    "Optuna's Gaussian process with expected hypervolume improvement.",
    "https://arxiv.org/abs/2310.20708",
)
