"""A run's report: gathers the content from the folder; `nas.report` then writes the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.errors import CheckpointError
from nas.latency import Predictor
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.ranking.result import read_ranking
from nas.report import ReportContent, write_report
from nas.result import Latency, RunResult, shown_metric
from nas.run.context import Context
from nas.run.front import Front
from nas.run.known_latencies import Known
from nas.run.search import problem_of, search_children
from nas.run.summary import front_of, result_of
from nas.run.supernets import TrainedSupernet
from nas.run.trained import results_of
from nas.run.work import Work
from nas.run.workers import FILE as CLUSTER_FILE
from nas.search.engine import read_records
from nas.search.front_file import ranked
from nas.search.problem import Problem
from nas.search.records import Record
from nas.search.surrogates.assessment import SurrogateFit, assess
from nas.storage import read_json, read_lines
from search_spaces import Architecture, build_network

RANDOM_SECONDS = 60.0
"""What the evaluations of the random search may take, one after the other."""
RANDOM_FEWEST = 20
"""How many it makes in any case."""


def report(work: Work, known: Known, trained: TrainedSupernet) -> Path:
    """Draw the figures and write the page.

    A random search on the same weights is made first, for comparison. Its record is kept, so that
    it is made only once.
    """
    context, problem = work.context, problem_of(work.context, known, trained)
    result, records = result_of(work.path, context), read_records(work.path / "evaluations.jsonl")
    if work.settings.searcher != "random":
        count, file = _evaluations_at_random(records), "random.jsonl"
        if len(read_records(work.path / file)) < count:
            search_children(work, problem, trained, "random", file, evaluations=count)
    best = _best(result, front_of(work.path, context))
    content = ReportContent(
        title=work.path.name,
        targets=result.targets,
        records=records,
        front=result.front,
        budgets=context.budgets,
        answers=result.answers,
        metric=shown_metric(work.context.metric),
        searcher=work.settings.searcher,
        random_records=read_records(work.path / "random.jsonl"),
        held_out=held_out(known, context),
        surrogates=_surrogates(problem, records),
        reference=_reference(context, trained),
        supernet_curve=trained.curve,
        on_cluster=read_lines(work.path / CLUSTER_FILE),
        retrained=list(results_of(work.path).values()),
        best=best,
        settings=work.settings.model_dump(),
        environment=read_json(work.path / "environment.json"),
        confidence=result.confidence,
        notes=(*context.data.notes, *result.notes, *map(str, known.predictors)),
        exported=result.exported,
        origin=_origin(context, best),
        recommended=result.recommended,
        stock=result.stock,
        validation_images=result.validation_images,
        test_images=result.test_images,
        ranking=read_ranking(work.path),
    )
    return write_report(work.path, content)


def _best(result: RunResult, front: Front) -> Architecture | None:
    """The network that the page shows: the most accurate of those that are recommended."""
    ids = {each.id for each in result.recommended}
    recommended = ranked([each for each in front.members if each.id in ids], front.metric)
    best = recommended or front.chosen(1)
    return best[0].architecture if best else None


def _evaluations_at_random(records: Sequence[Record]) -> int:
    """How many a random search makes: as many as the search, unless that takes too long.

    Raises:
        CheckpointError: the record of the search is empty.
    """
    if not records:
        raise CheckpointError(
            "The run's evaluations.jsonl holds no evaluation, although its search has finished: "
            "the file was damaged. Put it back, or start a new run."
        )
    seconds = float(np.median([record.seconds for record in records]))
    affordable = max(RANDOM_FEWEST, int(RANDOM_SECONDS / max(seconds, 1e-3)))
    return min(len(records), affordable)


def _origin(context: Context, chosen: Architecture | None) -> str:
    """Which published network the supernet started from, and its part in the chosen network."""
    donor, whole = context.donor, context.donor_architecture
    if donor is None or whole is None:
        return ""
    said = (
        f"The supernet started from the weights of {donor.published.name} ({donor.source}; "
        f"licence: {donor.licence})."
    )
    if chosen is None:
        return said
    blocks, parameters = zip(*(_size(context, each) for each in (chosen, whole)), strict=True)
    return (
        f"{said} The chosen network has {blocks[0]} blocks where that one has {blocks[1]}, "
        f"{parameters[0] / parameters[1]:.0%} of its parameters, and sees images of "
        f"{chosen.resolution} px."
    )


def _size(context: Context, architecture: Architecture) -> tuple[int, int]:
    """Blocks and parameters."""
    network = build_network(architecture, context.data.shape)
    blocks = sum(len(stage.blocks) for stage in architecture.stages)
    return blocks, sum(parameter.numel() for parameter in network.parameters())


def held_out(known: Known, context: Context) -> list[Latency]:
    """The networks measured for the profiles, each predicted by a fit that left it out."""
    return [
        latency
        for name, predictor in zip(context.target_names, known.predictors, strict=True)
        for latency in _held_out(name, predictor)
    ]


def _held_out(target: str, predictor: Predictor) -> list[Latency]:
    if not isinstance(predictor, MeasuredPredictor):
        return []
    factor = predictor.interval_factor
    return [
        Latency(
            target,
            predicted_ms=network["predicted_ms"],
            low_ms=network["predicted_ms"] / factor,
            high_ms=network["predicted_ms"] * factor,
            measured_ms=network["ms"],
        )
        for network in predictor.profile.networks
    ]


def _surrogates(problem: Problem, records: list[Record]) -> tuple[SurrogateFit, ...]:
    known = [record for record in records if not record.failed]
    errors = np.array([1.0 - record.score(problem.metric) for record in known])
    costs = problem.known_objectives if problem.constraints is not None else None
    return assess(problem.space, np.array([record.code for record in known]), errors, costs)


def _reference(context: Context, trained: TrainedSupernet) -> tuple[float, ...] | None:
    """The hypervolume's reference: the smallest architecture's accuracy, the loosest budgets."""
    loosest = [context.budgets.loosest(target) for target in range(len(context.targets))]
    limits = [limit for limit in loosest if limit is not None]
    if len(limits) < len(loosest):
        return None
    space = context.space
    smallest = trained.evaluator(space.decode(space.smallest()))
    return float(getattr(smallest, shown_metric(context.metric))), *limits
