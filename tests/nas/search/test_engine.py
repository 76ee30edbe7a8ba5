from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from nas.errors import RunError
from nas.result import Latency
from nas.search import make_searcher
from nas.search.engine import read_records, search
from nas.search.records import Record
from supernet.scores import Evaluation


class Stop(Exception):
    pass


class Listener:
    """A searcher that counts up and remembers in which order it was asked and told."""

    def __init__(self, last=100):
        self.events = []
        self.last = last
        self.next = 0

    def ask(self, n):
        assert n == 1
        if self.next == self.last:
            return np.empty((0, 7), dtype=np.int16)
        self.events.append(("ask", self.next))
        self.next += 1
        return np.array([[self.next - 1, 0, 0, 0, 0, 0, 0]], dtype=np.int16)

    def tell(self, codes, objectives):
        self.events.append(("tell", int(codes[0, 0])))


def searcher_for(problem, name="evolution", seed=0):
    return make_searcher(name, problem.brief(seed))


def run(problem, path, *, evaluations=40, lag=8, name="evolution", seed=0, progress=None):
    searcher = searcher_for(problem, name, seed)
    return search(
        problem, searcher, evaluations=evaluations, record=path, lag=lag, progress=progress
    )


def without_seconds(records):
    return [dataclasses.replace(record, seconds=0.0) for record in records]


def failing(problem):
    """The same problem, every third evaluation of which fails."""

    def evaluate(code):
        if code.sum() % 3 == 0:
            return Evaluation(float("nan"), float("nan"), float("nan"))
        return problem.evaluate(code)

    return dataclasses.replace(problem, evaluate=evaluate)


@pytest.mark.parametrize("lag", [1, 3, 16])
def test_candidate_i_is_asked_after_exactly_the_results_up_to_i_minus_lag(problem, tmp_path, lag):
    listener = Listener()
    search(problem, listener, evaluations=10, record=tmp_path / "e.jsonl", lag=lag)
    told = []
    for kind, number in listener.events:
        if kind == "tell":
            told.append(number)
        else:
            assert told == list(range(max(0, number - lag + 1)))
    assert told == list(range(10))


def test_a_search_ends_when_the_searcher_has_no_more(problem, tmp_path):
    records = search(problem, Listener(last=5), evaluations=50, record=tmp_path / "e.jsonl", lag=2)
    assert [record.index for record in records] == [0, 1, 2, 3, 4]


def test_each_result_is_on_disk_before_the_next_evaluation(problem, tmp_path):
    path = tmp_path / "e.jsonl"
    run(problem, path, progress=lambda progress: len(read_records(path)) == progress.done or 1 / 0)


def test_records_hold_what_was_predicted_and_evaluated(problem, tmp_path):
    path = tmp_path / "e.jsonl"
    records = run(problem, path, evaluations=20)
    assert records == read_records(path)
    for record in records:
        code = np.array(record.code, dtype=np.int16)
        measures = problem.measures(code[None])
        assert record.accuracy == problem.evaluate(code).accuracy
        assert record.id == problem.identify(code)
        (latency,) = record.latencies
        assert latency == Latency(
            "cpu", measures.latency_ms[0, 0], measures.low_ms[0, 0], measures.high_ms[0, 0]
        )
        assert record.params == measures.params[0]
        assert latency.high_ms <= 5.0
        assert record.params <= 1700


@pytest.mark.parametrize("name", ["evolution", "random"])
@pytest.mark.parametrize("stop_after", [1, 8, 25])
@pytest.mark.parametrize("fails", [False, True])
def test_stopping_and_resuming_equals_an_uninterrupted_search(
    problem, tmp_path, name, stop_after, fails
):
    problem = failing(problem) if fails else problem

    def stop(progress):
        if progress.done == stop_after:
            raise Stop

    whole = run(problem, tmp_path / "whole.jsonl", name=name)
    path = tmp_path / "resumed.jsonl"
    with pytest.raises(Stop):
        run(problem, path, name=name, progress=stop)
    assert len(read_records(path)) == stop_after
    resumed = run(problem, path, name=name)
    assert [r.to_dict() for r in without_seconds(resumed)] == [
        r.to_dict() for r in without_seconds(whole)
    ]
    assert [r.to_dict() for r in read_records(path)] == [r.to_dict() for r in resumed]


def test_a_search_on_two_targets_records_both_and_resumes(two_targets, tmp_path):
    whole = run(two_targets, tmp_path / "whole.jsonl")
    for record in whole:
        measures = two_targets.measures(np.array([record.code]))
        assert [latency.target for latency in record.latencies] == ["one", "other"]
        assert [latency.high_ms for latency in record.latencies] == measures.high_ms[0].tolist()
        assert (two_targets.excess_by_set(np.array([record.code])) <= 0).any()
    path = tmp_path / "resumed.jsonl"
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:17]))
    assert without_seconds(run(two_targets, path)) == without_seconds(whole)


def test_a_torn_last_line_is_evaluated_again(problem, tmp_path):
    whole = run(problem, tmp_path / "whole.jsonl")
    path = tmp_path / "torn.jsonl"
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20]) + lines[20][:30])
    assert without_seconds(run(problem, path)) == without_seconds(whole)


def test_a_finished_search_evaluates_nothing_again(problem, tmp_path):
    path = tmp_path / "e.jsonl"
    whole = run(problem, path)
    before = path.read_bytes()
    frozen = dataclasses.replace(problem, evaluate=lambda code: 1 / 0)
    replayed = []
    assert run(frozen, path, progress=lambda p: replayed.append(p.replayed)) == whole
    assert all(replayed)
    assert path.read_bytes() == before


@pytest.mark.parametrize("changed", [{"seed": 1}, {"name": "random"}, {"lag": 2}])
def test_the_record_of_another_search_is_refused(problem, tmp_path, changed):
    path = tmp_path / "e.jsonl"
    run(problem, path)
    with pytest.raises(RunError, match=r"was made by another search: its evaluation \d+ is not"):
        run(problem, path, **changed)


def test_a_record_longer_than_the_search_can_be_is_refused(problem, tmp_path):
    path = tmp_path / "e.jsonl"
    search(problem, Listener(), evaluations=6, record=path, lag=2)
    with pytest.raises(RunError, match="another search: its evaluation 3"):
        search(problem, Listener(last=3), evaluations=6, record=path, lag=2)


def test_a_record_with_a_line_missing_is_refused(problem, tmp_path):
    path = tmp_path / "e.jsonl"
    run(problem, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    with pytest.raises(RunError, match="holds evaluation 4 where 3 should be"):
        run(problem, path)


def test_a_record_of_another_version_is_refused(problem, tmp_path):
    line = run(problem, tmp_path / "e.jsonl")[0].to_dict()
    line["flops"] = line.pop("macs")
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(RunError, match="missing or unknown fields: flops, macs"):
        run(problem, path)


def test_progress_tells_the_best_score_so_far(problem, tmp_path):
    seen = []
    run(failing(problem), tmp_path / "e.jsonl", progress=seen.append)
    assert [p.done for p in seen] == list(range(1, 41))
    assert {p.total for p in seen} == {40}
    for progress in seen:
        scores = [p.record.accuracy for p in seen[: progress.done] if not p.record.failed]
        np.testing.assert_equal(progress.best, max(scores, default=float("nan")))


def test_a_search_where_all_failed_has_no_best_score(problem, tmp_path):
    nothing = Evaluation(float("nan"), float("nan"), float("nan"))
    broken = dataclasses.replace(problem, evaluate=lambda code: nothing)
    seen = []
    records = run(broken, tmp_path / "e.jsonl", evaluations=10, progress=seen.append)
    assert np.isnan(seen[-1].best)
    assert all(record.failed for record in records)
    assert Record.from_dict(records[0].to_dict()).failed
