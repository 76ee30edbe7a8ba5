"""The search loop: ask, evaluate, record and tell, in an order that does not depend on speed.

    candidate i is asked after the results 0 ... i-L have been told      (L = lag)

    L = 3:   ask 0, 1, 2 | result 0, tell 0, ask 3 | result 1, tell 1, ask 4 | ...

Up to L candidates may be evaluated at once. The searcher sees the same sequence however long each
takes, so that one process and several find the same. The searcher's state is not saved: a search
that is continued replays the record through `ask` and `tell`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import RunError
from nas.result import Latency, shown_metric
from nas.search.evaluators import Evaluators, Here, Outcome
from nas.search.problem import Problem
from nas.search.protocol import Codes, Searcher
from nas.search.records import Record
from nas.storage import append_lines, read_lines
from supernet.scores import Evaluation

HOPELESS = 8
"""If that many evaluations fail and none has succeeded, something is wrong with all of them."""


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is, after each evaluation."""

    done: int
    total: int
    record: Record
    best: float
    """The best score so far by the problem's metric; NaN if every evaluation failed."""
    replayed: bool
    """Whether the evaluation was read from the record instead of made."""
    note: str = ""
    """What those who evaluate say about themselves."""


def search(
    problem: Problem,
    searcher: Searcher,
    *,
    evaluations: int,
    record: Path,
    lag: int = 16,
    progress: Callable[[SearchProgress], None] | None = None,
    evaluators: Evaluators | None = None,
) -> list[Record]:
    """Run a search, or continue the one in `record`.

    Args:
        problem: The space, its budgets and the evaluation.
        searcher: A new one, also when a search is continued.
        evaluations: Number of evaluations in all; fewer if the space has no more.
        record: The `evaluations.jsonl` to read first, then to append to.
        lag: Number of candidates that may be asked before their results are known, at least 1.
        progress: Called after each evaluation, replayed ones included.
        evaluators: Who evaluates; None for this process. The records do not depend on it.

    Returns:
        The evaluations in the order they were asked.

    Raises:
        RunError: the record was made by another search.
    """
    running = _Running(problem, searcher, record, evaluations, progress, evaluators)
    while len(running.asked) < evaluations:
        if len(running.asked) - len(running.done) >= lag:
            running.tell_next()
        if not running.ask():
            break
    if len(running.asked) < min(running.replayed, evaluations):
        raise _other_search(record, len(running.asked))
    while len(running.done) < len(running.asked):
        running.tell_next()
    return running.done


class _Running:
    """A search at work."""

    def __init__(
        self,
        problem: Problem,
        searcher: Searcher,
        path: Path,
        evaluations: int,
        progress: Callable[[SearchProgress], None] | None,
        evaluators: Evaluators | None,
    ) -> None:
        self._problem, self._searcher, self._path = problem, searcher, path
        self._total, self._progress = evaluations, progress
        self._evaluators = evaluators or Here(problem.evaluate, problem.identify)
        self._recorded = read_records(path)
        self._outcomes: dict[int, Outcome] = {}  # arrived before an earlier candidate's
        self._best = float("nan")
        self._failed = sum(record.failed for record in self._recorded)
        self._succeeded = self._failed < len(self._recorded)
        self.replayed = len(self._recorded)
        self.asked: list[Codes] = []
        self.done: list[Record] = []

    def ask(self) -> bool:
        """Ask for the next candidate and have it evaluated; False if there is none."""
        codes = self._searcher.ask(1)
        if not len(codes):
            return False
        index, code = len(self.asked), codes[0]
        if index >= self.replayed:
            self._evaluators.submit(index, code)
        elif not np.array_equal(code, self._recorded[index].code):
            raise _other_search(self._path, index)
        self.asked.append(code)
        return True

    def tell_next(self) -> None:
        """Tell the result of the first candidate that was not told yet; waits for it."""
        index = len(self.done)
        if index == len(self._recorded):
            self._record_more()
        result = self._recorded[index]
        self.done.append(result)
        evaluation = Evaluation(result.accuracy, result.balanced_accuracy, result.loss)
        latencies = [latency.predicted_ms for latency in result.latencies]
        told = self._problem.objectives(evaluation, latencies)
        self._searcher.tell(self.asked[index][None], told[None])
        self._best = float(np.fmax(self._best, result.score(shown_metric(self._problem.metric))))
        if self._progress is not None:
            now = SearchProgress(
                done=len(self.done),
                total=self._total,
                record=result,
                best=self._best,
                replayed=index < self.replayed,
                note=self._evaluators.note(),
            )
            self._progress(now)

    def _record_more(self) -> None:
        """Wait for the next candidate's result, and record it with those after it."""
        first = len(self._recorded)
        while first not in self._outcomes:
            arrived = self._evaluators.collect()
            self._heed(arrived.values())
            self._outcomes |= arrived
        found: list[Outcome] = []
        while (index := first + len(found)) in self._outcomes:
            found.append(self._outcomes.pop(index))
        records = _records(self._problem, first, self.asked[first : first + len(found)], found)
        append_lines(self._path, [record.to_dict() for record in records])
        self._recorded += records

    def _heed(self, outcomes: Iterable[Outcome]) -> None:
        """Give up when the first evaluations of a search all fail: the others would as well.

        Raises:
            RunError: none has succeeded, and too many have failed.
        """
        for outcome in outcomes:
            self._succeeded |= outcome.error is None
            self._failed += outcome.error is not None
            if not self._succeeded and self._failed >= HOPELESS:
                raise RunError(
                    f"The first {self._failed} evaluations all failed, the last one with: "
                    f"{outcome.error}. The log has the tracebacks."
                )


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


def _records(
    problem: Problem, first: int, codes: Sequence[Codes], outcomes: Sequence[Outcome]
) -> list[Record]:
    """The records of evaluated codes, the first of which has the index `first`."""
    measures = problem.measures(np.stack(codes))
    predicted = np.stack([measures.latency_ms, measures.low_ms, measures.high_ms], axis=2)
    return [
        Record(
            index=first + row,
            id=outcome.id,
            code=tuple(code.tolist()),
            accuracy=float(outcome.evaluation.accuracy),
            balanced_accuracy=float(outcome.evaluation.balanced_accuracy),
            loss=float(outcome.evaluation.loss),
            latencies=tuple(
                Latency(target, *each)
                for target, each in zip(problem.targets, predicted[row].tolist(), strict=True)
            ),
            macs=int(measures.macs[row]),
            params=int(measures.params[row]),
            memory_mib=float(measures.memory_mib[row]),
            seconds=round(outcome.seconds, 4),
        )
        for row, (code, outcome) in enumerate(zip(codes, outcomes, strict=True))
    ]


def _other_search(path: Path, index: int) -> RunError:
    return RunError(
        f"'{path}' was made by another search: its evaluation {index} is not what this one asks. "
        "The space, latency profile, seed, searcher, lag or the version of nas differ; "
        "start a new run."
    )
