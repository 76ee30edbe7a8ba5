"""pymoo's NSGA-II, unchanged: see `nas/search/foreign/pymoo.py`.

Library: pymoo, Blank and Deb 2020, https://arxiv.org/abs/2002.04504
"""

from __future__ import annotations

from nas.errors import SpaceError
from nas.search.brief import Brief
from nas.search.foreign.pymoo import PymooTool
from nas.search.foreign.tool import (
    ForeignSearcher,
    cardinalities_of,
    number_of_constraints,
    number_of_objectives,
)
from nas.search.searchers.registry import SEARCHERS, SearcherEntry


def _build(brief: Brief) -> ForeignSearcher:
    objectives = number_of_objectives(brief)
    if objectives is None:
        raise SpaceError(
            "pymoo has to know the number of objectives: give it the known ones beforehand."
        )
    tool = PymooTool(
        cardinalities_of(brief.space),
        seed=brief.seed,
        objectives=objectives,
        constraints=number_of_constraints(brief),
    )
    return ForeignSearcher(tool, brief, repeats=brief.may_repeat)


SEARCHERS.register(
    SearcherEntry(
        name="pymoo-nsga2",
        description="pymoo's NSGA-II.",
        paper="https://arxiv.org/abs/2002.04504",
        build=_build,
        package="pymoo",
        extra="peers",
    )
)
