"""The search step: evaluates children of the supernet and writes the best to `front.json`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.run.context import Context
from nas.run.front import Front
from nas.run.journal import RunningStudy
from nas.run.known_latencies import Known
from nas.run.supernets import TrainedSupernet
from nas.run.work import Work
from nas.run.workers import evaluators_of
from nas.search.engine import SearchProgress, search
from nas.search.front_file import front_members, read_front, write_front
from nas.search.problem import Problem
from nas.search.records import Record
from nas.search.searchers.registry import make_searcher


def problem_of(context: Context, known: Known, trained: TrainedSupernet) -> Problem:
    """The problem to search: children on the shared weights, scored on the validation split."""
    space = context.space
    return Problem(
        space=space,
        evaluate=lambda code: trained.evaluator(space.decode(code)),
        measures=known.measures,
        budgets=context.budgets,
        identify=lambda code: space.decode(code).id,
        metric=context.metric,
        targets=context.target_names,
    )


def search_front(work: Work, known: Known, trained: TrainedSupernet) -> Front:
    """The front of all evaluations; read from `front.json` if the search had finished."""
    context, path = work.context, work.path / "front.json"
    if not work.folder.finished("search"):
        problem = problem_of(context, known, trained)
        study = RunningStudy(work)
        records = search_children(
            work,
            problem,
            trained,
            work.settings.searcher,
            "evaluations.jsonl",
            watch=study.add,
        )
        study.update()
        if len(records) < context.evaluations:
            work.console.say(
                f"the search ended after {len(records)} of {context.evaluations} evaluations: it "
                "found no other architectures within the budgets"
            )
        _write(work, records, known, trained.key)
    front = Front(tuple(read_front(path)), context.budgets, work.context.metric)
    work.console.say(f"{len(front.members)} architectures on the front")
    return front


def search_children(
    work: Work,
    problem: Problem,
    trained: TrainedSupernet,
    searcher: str,
    record: str,
    *,
    evaluations: int | None = None,
    watch: Callable[[SearchProgress], None] | None = None,
) -> list[Record]:
    """Let a searcher ask for architectures, and evaluate them; continues from the record.

    Args:
        work: The run.
        problem: The space, its budgets and the evaluation.
        trained: The supernet, for searchers that learn from its gradients.
        searcher: Name of the algorithm.
        record: The file in the run's folder that holds the evaluations.
        evaluations: How many in all; None for as many as the run makes.
        watch: Called with each evaluation, those read from the record included.
    """
    total = evaluations or work.context.evaluations
    gradients = work.context.gradients(trained.supernet)
    brief = problem.brief(work.settings.seed, evaluations=total, gradients=gradients)
    asking = make_searcher(searcher, brief)
    with (
        work.console.task(f"searching ({searcher})", total) as advance,
        evaluators_of(work, problem, trained, record) as evaluators,
    ):

        def progress(now: SearchProgress) -> None:
            if watch is not None:
                watch(now)
            advance(now.done, ", ".join(filter(None, (f"best {now.best:.2%}", now.note))))

        return search(
            problem,
            asking,
            evaluations=total,
            record=work.path / record,
            lag=work.settings.lag,
            progress=progress,
            evaluators=evaluators,
        )


def _write(work: Work, records: list[Record], known: Known, supernet: str) -> None:
    """`front.json`."""
    context, metric = work.context, work.context.metric
    names = context.target_names
    space = context.space
    front = front_members(
        records, context.budgets, metric, lambda code: space.decode(np.array(code))
    )
    write_front(
        work.path / "front.json",
        front,
        budgets=context.budgets,
        metric=metric,
        evaluations=len(records),
        supernet=supernet,
        targets=[
            {
                "name": name,
                "target": predictor.target.to_dict(),
                "latency_profile": predictor.id,
            }
            for name, predictor in zip(names, known.predictors, strict=True)
        ],
        data=context.dataset.id,
    )
