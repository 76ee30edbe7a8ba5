"""The search loop: ask, evaluate, record and tell, in an order that does not depend on speed.

    candidate i is asked after the results 0 ... i-L have been told      (L = lag)

    L = 3:   ask 0, 1, 2 | result 0, tell 0, ask 3 | result 1, tell 1, ask 4 | ...

Up to L candidates may be evaluated at once. The searcher sees the same sequence however long each
takes, so that one process and several find the same. The searcher's state is not saved: a search
that is continued replays the record through `ask` and `tell`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import RunError
from nas.result import Latency, shown_metric
from nas.search.problem import Problem
from nas.search.protocol import Codes, Searcher
from nas.search.records import Record
from nas.storage import append_line, read_lines
from supernet.scores import Evaluation


@dataclass(frozen=True)
class Progress:
    """How far a search is, after each evaluation."""

    done: int
    total: int
    record: Record
    best: float
    """The best score so far by the problem's metric; NaN if every evaluation failed."""
    replayed: bool
    """Whether the evaluation was read from the record instead of made."""


def search(
    problem: Problem,
    searcher: Searcher,
    *,
    evaluations: int,
    record: Path,
    lag: int = 16,
    progress: Callable[[Progress], None] | None = None,
) -> list[Record]:
    """Run a search, or continue the one in `record`.

    Args:
        problem: The space, its budgets and the evaluation.
        searcher: A new one, also when a search is continued.
        evaluations: Number of evaluations in all; fewer if the space has no more.
        record: The `evaluations.jsonl` to read first, then to append to.
        lag: Number of candidates that may be asked before their results are known, at least 1.
        progress: Called after each evaluation, replayed ones included.

    Returns:
        The evaluations in the order they were asked.

    Raises:
        RunError: the record was made by another search.
    """
    known = read_records(record)
    asked: list[Codes] = []
    done: list[Record] = []

    def tell_next() -> None:
        index, code = len(done), asked[len(done)]
        replayed = index < len(known)
        result = known[index] if replayed else _evaluate(problem, index, code)
        if not replayed:
            append_line(record, result.to_dict())
        done.append(result)
        evaluation = Evaluation(result.accuracy, result.balanced_accuracy, result.loss)
        latencies = [latency.predicted_ms for latency in result.latencies]
        searcher.tell(code[None], problem.objectives(evaluation, latencies)[None])
        if progress is not None:
            best = best_score(done, shown_metric(problem.metric))
            progress(Progress(len(done), evaluations, result, best, replayed))

    while len(asked) < evaluations:
        if len(asked) - len(done) >= lag:
            tell_next()
        codes = searcher.ask(1)
        if not len(codes):
            break
        _check_same(codes[0], len(asked), known, record)
        asked.append(codes[0])
    if len(asked) < min(len(known), evaluations):
        raise _other_search(record, len(asked))
    while len(done) < len(asked):
        tell_next()
    return done


def best_score(records: list[Record], metric: str) -> float:
    """The highest score among the records that have one, else NaN."""
    scores = [record.score(metric) for record in records if not record.failed]
    return max(scores, default=float("nan"))


def read_records(path: Path) -> list[Record]:
    """The evaluations in an `evaluations.jsonl`; an unfinished last line is left out.

    Raises:
        RunError: lines are missing, or of another version.
        CheckpointError: a line is damaged.
    """
    records = [Record.from_dict(line) for line in read_lines(path)]
    for position, record in enumerate(records):
        if record.index != position:
            raise RunError(
                f"'{path}' holds evaluation {record.index} where {position} should be. "
                "Lines were removed or added; start a new run."
            )
    return records


def _evaluate(problem: Problem, index: int, code: Codes) -> Record:
    start = time.perf_counter()
    evaluation = problem.evaluate(code)
    seconds = time.perf_counter() - start
    measures = problem.measures(code[None])
    predicted = np.stack([measures.latency_ms[0], measures.low_ms[0], measures.high_ms[0]], axis=1)
    return Record(
        index=index,
        id=problem.identify(code),
        code=tuple(int(gene) for gene in code),
        accuracy=float(evaluation.accuracy),
        balanced_accuracy=float(evaluation.balanced_accuracy),
        loss=float(evaluation.loss),
        latencies=tuple(
            Latency(target, *each)
            for target, each in zip(problem.targets, predicted.tolist(), strict=True)
        ),
        macs=int(measures.macs[0]),
        params=int(measures.params[0]),
        memory_mib=float(measures.memory_mib[0]),
        seconds=round(seconds, 4),
    )


def _check_same(code: Codes, index: int, known: list[Record], path: Path) -> None:
    """A replayed ask must give the recorded code."""
    if index < len(known) and not np.array_equal(code, known[index].code):
        raise _other_search(path, index)


def _other_search(path: Path, index: int) -> RunError:
    return RunError(
        f"'{path}' was made by another search: its evaluation {index} is not what this one asks. "
        "The space, latency profile, seed, searcher, lag or the version of nas differ; "
        "start a new run."
    )
