"""One run at work: its context, its folder, and what its steps share.

Files that the steps leave in the folder:

    evaluations.jsonl  study.journal  front.json      search
    measured.json                                     measure
    networks/<id>/{checkpoint.safetensors,result.json,network.safetensors}    retrain
    networks/<id>/{architecture.yaml,model.safetensors,config.json}           export
    random.jsonl  figures/*.png  report.html          report
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.context import Context
from nas.latency import Predictor, predictor_for
from nas.latency.cost import CostTable
from nas.outlook import feasibility_of, measures_of
from nas.progress import Progress
from nas.runs import RunFolder
from nas.search.engine import Progress as Progressed
from nas.search.engine import search
from nas.search.objectives import Feasibility, Measures
from nas.search.problem import Problem
from nas.search.records import Record
from nas.search.searchers import make_searcher
from nas.storage import read_json
from nas.supernets import TrainedSupernet, supernet_of
from search_spaces import Architecture


@dataclass(frozen=True)
class Member:
    """One architecture of the front as `front.json` holds it, with its measured latency."""

    entry: dict[str, Any]
    measured_ms: float | None

    @property
    def id(self) -> str:
        """The architecture's id."""
        return str(self.entry["id"])

    @property
    def architecture(self) -> Architecture:
        """The architecture itself."""
        return Architecture.from_dict(self.entry["architecture"])


class Work:
    """What the steps of one run share; each thing is made when it is first needed."""

    def __init__(
        self, folder: RunFolder, console: Progress, context: Context | None = None
    ) -> None:
        self.folder, self.console = folder, console
        self.settings = folder.settings
        self.context = context or Context(folder.settings)

    @property
    def at_hand(self) -> bool:
        """Whether the target is the processor that this runs on, so that it can be measured."""
        return self.context.target.device == "cpu"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @cached_property
    def trained(self) -> TrainedSupernet:
        """The supernet of this space and data, trained if need be."""
        return supernet_of(self.context, self.console)

    @cached_property
    def predictor(self) -> Predictor:
        """Latency of codes on the target, measured if need be."""
        data = self.context.data
        return predictor_for(
            self.context.space,
            self.context.target,
            data.in_channels,
            data.num_classes,
            confidence=self.settings.confidence,
            progress=self.console,
        )

    @cached_property
    def costs(self) -> CostTable:
        """MACs, parameters and activation memory of codes."""
        data = self.context.data
        return CostTable(self.context.space, data.in_channels, data.num_classes)

    def measures(self, codes: NDArray[np.integer]) -> Measures:
        """All that is known of architectures without evaluating them."""
        return measures_of(self.predictor, self.costs, codes)

    def feasibility(self) -> Feasibility:
        """What share of the space keeps the budgets.

        Raises:
            InfeasibleError: none of it does; says what the fastest needs.
        """
        return feasibility_of(self.predictor, self.context.budgets, self.costs)

    @cached_property
    def problem(self) -> Problem:
        """The search: children on the shared weights, judged on the validation split."""
        space = self.context.space
        return Problem(
            space=space,
            evaluate=lambda code: self.context.evaluate(self.trained.supernet, space.decode(code)),
            measures=self.measures,
            budgets=self.context.budgets,
            identify=lambda code: space.decode(code).id,
            metric=self.settings.metric,
        )

    def search(self, searcher: str, record: Path) -> list[Record]:
        """Run a search of the run's problem, or continue the one in `record`."""
        problem, total = self.problem, self.settings.evaluations
        with self.console.task(f"searching ({searcher})", total) as advance:

            def progress(now: Progressed) -> None:
                advance(now.done, f"best {now.best:.2%}")

            return search(
                problem,
                make_searcher(
                    searcher,
                    problem.space,
                    seed=self.settings.seed,
                    constraints=problem.constraints,
                    supernet=self.trained.supernet,
                    cheap=problem.cheap,
                ),
                evaluations=total,
                record=record,
                lag=self.settings.lag,
                progress=progress,
            )

    # What earlier steps left in the folder

    def front(self) -> list[Member]:
        """The front, fastest first; empty before the search has finished."""
        if not (self.path / "front.json").exists():
            return []
        measured = {}
        if (self.path / "measured.json").exists():
            measured = read_json(self.path / "measured.json")["networks"]
        return [
            Member(entry, measured.get(entry["id"], {}).get("ms"))
            for entry in read_json(self.path / "front.json")["front"]
        ]

    def keeps_budget(self, member: Member) -> bool:
        """Whether a member keeps the latency budget as measured (as predicted, if it was not)."""
        limit = self.settings.budget_ms
        return limit is None or member.measured_ms is None or member.measured_ms <= limit

    def chosen(self, top: int) -> list[Member]:
        """The most accurate members that keep the budget, best first."""
        kept = [member for member in self.front() if self.keeps_budget(member)]
        metric = self.settings.metric
        ranked = sorted(kept, key=lambda m: (-m.entry[metric], m.entry["loss"]))
        return ranked[:top]

    def network_folder(self, architecture_id: str) -> Path:
        """Where a network of this run is kept."""
        return self.path / "networks" / architecture_id

    def network_results(self) -> dict[str, dict[str, Any]]:
        """The retrained networks' results by architecture id."""
        found = sorted((self.path / "networks").glob("*/result.json"))
        return {path.parent.name: read_json(path) for path in found}


def to_json(document: object) -> str:
    """A JSON text as it is kept in files."""
    return json.dumps(document, indent=2) + "\n"
