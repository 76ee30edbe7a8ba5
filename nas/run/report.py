"""A run's report, filled from what the steps left in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.latency import Predictor
from nas.latency.profiles.predictor import MeasuredPredictor
from nas.report import LatencyPair, ReportContent, ReportTarget, write_report
from nas.retrain import NetworkResult
from nas.run.summary import result_of
from nas.run.work import Work
from nas.search.engine import read_records
from nas.search.records import Record
from nas.search.surrogates.assessment import SurrogateFit, assess
from nas.storage import read_json


def report(work: Work) -> Path:
    """Draw the figures and write the page.

    For comparison a random search with as many evaluations is made first, on the same weights;
    its record is kept, so that it is made once.
    """
    result = result_of(work)
    random_record = work.path / "random.jsonl"
    if work.settings.searcher != "random":
        work.search("random", random_record)
    records = read_records(work.path / "evaluations.jsonl")
    best = work.chosen(1)  # the first of them is the most accurate
    retrained = [NetworkResult.from_dict(d) for d in work.network_results().values()]
    content = ReportContent(
        title=work.path.name,
        targets=[
            ReportTarget(words, name, _held_out(predictor))
            for words, name, predictor in zip(
                result.targets, result.target_names, work.predictors, strict=True
            )
        ],
        records=records,
        front=result.front,
        budgets=work.context.budgets,
        answers=result.answers,
        metric=work.settings.metric,
        searcher=work.settings.searcher,
        random_records=read_records(random_record),
        surrogates=_surrogates(work, records),
        reference=_reference(work),
        supernet_curve=work.trained.curve,
        retrained=retrained,
        best=best[0].architecture if best else None,
        settings=work.settings.model_dump(),
        environment=read_json(work.path / "environment.json"),
        confidence=result.confidence,
        notes=(*work.context.data.notes, *result.notes, *map(str, work.predictors)),
        exported=result.exported,
    )
    return write_report(work.path, content)


def _surrogates(work: Work, records: list[Record]) -> tuple[SurrogateFit, ...]:
    known = [record for record in records if not record.failed]
    errors = np.array([1.0 - float(getattr(record, work.settings.metric)) for record in known])
    problem = work.problem
    costs = problem.known_objectives if problem.constraints is not None else None
    codes = np.array([record.code for record in known])
    return assess(work.context.space, codes, errors, costs)


def _reference(work: Work) -> tuple[float, ...] | None:
    """Where hypervolume counts from: the smallest architecture's accuracy, the loosest budgets."""
    budgets = work.context.budgets
    loosest = [budgets.loosest(target) for target in range(len(work.context.targets))]
    limits = [limit for limit in loosest if limit is not None]
    if len(limits) < len(loosest):
        return None
    space = work.context.space
    smallest = work.trained.evaluator(space.decode(space.smallest()))
    return float(getattr(smallest, work.settings.metric)), *limits


def _held_out(predictor: Predictor) -> list[LatencyPair]:
    """Networks that were measured for the profile, each predicted by a fit without it."""
    if not isinstance(predictor, MeasuredPredictor):
        return []
    factor = predictor.interval_factor
    return [
        LatencyPair(
            predicted_ms=network["predicted_ms"],
            low_ms=network["predicted_ms"] / factor,
            high_ms=network["predicted_ms"] * factor,
            measured_ms=network["ms"],
        )
        for network in predictor.profile.networks
    ]
