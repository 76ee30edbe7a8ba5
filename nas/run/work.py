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

from nas.latency import Predictor, predictor_for
from nas.latency.cost import CostTable
from nas.progress import Progress
from nas.result import Latency
from nas.run.context import Context
from nas.run.feasibility import feasibility_of, measures_of
from nas.run.folder import RunFolder
from nas.run.supernets import TrainedSupernet, supernet_of
from nas.search.engine import Progress as Progressed
from nas.search.engine import search
from nas.search.feasibility import Feasibility
from nas.search.objectives import Limits, Measures, latency_excess
from nas.search.problem import Problem
from nas.search.records import Record
from nas.search.searchers.registry import make_searcher
from nas.storage import read_json
from search_spaces import Architecture


@dataclass(frozen=True)
class Member:
    """One architecture of the front as `front.json` holds it, with what was measured of it."""

    entry: dict[str, Any]
    measured_ms: tuple[float | None, ...]
    """On each target."""

    @property
    def id(self) -> str:
        """The architecture's id."""
        return str(self.entry["id"])

    @property
    def architecture(self) -> Architecture:
        """The architecture itself."""
        return Architecture.from_dict(self.entry["architecture"])

    @property
    def latencies(self) -> list[Latency]:
        """On each target."""
        predicted = self.entry.get("latencies", [self.entry["prediction"]])
        return [
            Latency(at["ms"], at["low_ms"], at["high_ms"], ms)
            for at, ms in zip(predicted, self.measured_ms, strict=True)
        ]

    def predicted_within(self, limits: Limits) -> bool:
        """Whether the upper ends of its predictions are within the limits of all targets."""
        high_ms = np.array([[latency.high_ms for latency in self.latencies]])
        return bool((latency_excess(high_ms, [limits]) <= 0).all())

    def within(self, limits: Limits) -> bool:
        """The same, and so are its latencies where they were measured."""
        return self.predicted_within(limits) and all(
            limit is None or ms is None or ms <= limit
            for limit, ms in zip(limits, self.measured_ms, strict=True)
        )


class Work:
    """What the steps of one run share; each thing is made when it is first needed."""

    def __init__(
        self, folder: RunFolder, console: Progress, context: Context | None = None
    ) -> None:
        self.folder, self.console = folder, console
        self.settings = folder.settings
        self.context = context or Context(folder.settings)

    @property
    def unmeasured(self) -> list[tuple[str, str | None]]:
        """Targets that nothing was measured on, in short, and why as far as it was kept."""
        named = zip(self.context.target_names, self._measured(), strict=True)
        return [(name, at.get("reason")) for name, at in named if not at["networks"]]

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @cached_property
    def trained(self) -> TrainedSupernet:
        """The supernet of this space and data, trained if need be."""
        return supernet_of(self.context, self.console)

    @cached_property
    def predictors(self) -> list[Predictor]:
        """Latency of codes on each target, measured if need be."""
        data = self.context.data
        return [
            predictor_for(
                self.context.space,
                target,
                data.in_channels,
                data.num_classes,
                confidence=self.settings.confidence,
                progress=self.console,
            )
            for target in self.context.targets
        ]

    @cached_property
    def costs(self) -> CostTable:
        """MACs, parameters and activation memory of codes."""
        data = self.context.data
        return CostTable(self.context.space, data.in_channels, data.num_classes)

    def measures(self, codes: NDArray[np.integer]) -> Measures:
        """All that is known of architectures without evaluating them."""
        return measures_of(self.predictors, self.costs, codes)

    def feasibility(self) -> Feasibility:
        """What share of the space keeps the budgets.

        Raises:
            InfeasibleError: none of it does; says what the fastest needs.
        """
        return feasibility_of(self.predictors, self.context.budgets, self.costs)

    @cached_property
    def problem(self) -> Problem:
        """The search: children on the shared weights, judged on the validation split."""
        space = self.context.space
        return Problem(
            space=space,
            evaluate=lambda code: self.trained.evaluator(space.decode(code)),
            measures=self.measures,
            budgets=self.context.budgets,
            identify=lambda code: space.decode(code).id,
            metric=self.settings.metric,
        )

    def search(self, searcher: str, record: Path) -> list[Record]:
        """Run a search of the run's problem, or continue the one in `record`."""
        problem, total = self.problem, self.settings.evaluations
        gradients = self.context.gradients(self.trained.supernet)
        brief = problem.brief(self.settings.seed, evaluations=total, gradients=gradients)
        with self.console.task(f"searching ({searcher})", total) as advance:

            def progress(now: Progressed) -> None:
                advance(now.done, f"best {now.best:.2%}")

            return search(
                problem,
                make_searcher(searcher, brief),
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
        measured = [target["networks"] for target in self._measured()]
        return [
            Member(entry, tuple(networks.get(entry["id"], {}).get("ms") for networks in measured))
            for entry in read_json(self.path / "front.json")["front"]
        ]

    def _measured(self) -> list[dict[str, Any]]:
        """Of each target what `measured.json` says; no networks before they were measured."""
        path = self.path / "measured.json"
        if not path.exists():
            return [{"networks": {}}] * len(self.context.targets)
        found: list[dict[str, Any]] = read_json(path)["targets"]
        return found

    def keeps_budget(self, member: Member) -> bool:
        """Whether a member answers a question, as predicted and, where it was, as measured."""
        return any(member.within(limits) for limits in self.context.budgets.budget_sets)

    def answers(self, top: int) -> list[list[Member]]:
        """By question: the most accurate members that answer it, best first."""
        ranked = sorted(self.front(), key=self._rank)
        return [
            [member for member in ranked if member.within(limits)][:top]
            for limits in self.context.budgets.budget_sets
        ]

    def chosen(self, top: int) -> list[Member]:
        """The best `top` answers to each question, each once, the most accurate first."""
        found = {member.id: member for answers in self.answers(top) for member in answers}
        return sorted(found.values(), key=self._rank)

    def _rank(self, member: Member) -> tuple[float, float]:
        return -member.entry[self.settings.metric], member.entry["loss"]

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
