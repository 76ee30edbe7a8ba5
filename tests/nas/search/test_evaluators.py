"""Evaluating on several threads finds what evaluating one after the other finds."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest

from nas.errors import DataError, RunError
from nas.search import make_searcher
from nas.search.engine import search
from nas.search.evaluators import GROUP, Here, on_threads


def _search(problem, path, threads=0, evaluations=30, together=None):
    searcher = make_searcher("evolution", problem.brief(0))

    def run(evaluators):
        found = search(
            problem, searcher, evaluations=evaluations, record=path, lag=8, evaluators=evaluators
        )
        return [(record.code, str(record.accuracy), record.id) for record in found]

    if not threads:
        return run(Here(problem.evaluate, problem.identify))
    with on_threads(
        problem.evaluate, problem.identify, threads, lambda: None, together
    ) as evaluators:
        return run(evaluators)


def _slower(problem, delay=0.01):
    """The same problem, whose evaluations take turns in who is first."""

    def evaluate(code):
        time.sleep(delay * (code.sum() % 3))
        return problem.evaluate(code)

    return dataclasses.replace(problem, evaluate=evaluate)


def test_the_records_are_those_of_one_after_the_other(problem, tmp_path):
    alone = _search(problem, tmp_path / "alone.jsonl")
    assert _search(_slower(problem), tmp_path / "threads.jsonl", threads=3) == alone


def test_several_are_evaluated_at_once(problem, tmp_path):
    barrier = threading.Barrier(2, timeout=10)

    def evaluate(code):
        barrier.wait()
        return problem.evaluate(code)

    both = dataclasses.replace(problem, evaluate=evaluate)
    assert len(_search(both, tmp_path / "both.jsonl", threads=2, evaluations=8)) == 8


def test_similar_candidates_are_evaluated_together(problem, tmp_path):
    alone, groups = _search(problem, tmp_path / "alone.jsonl"), []

    def together(codes):
        groups.append([tuple(code.tolist()) for code in codes])
        return [problem.evaluate(code) for code in codes]

    assert _search(problem, tmp_path / "both.jsonl", threads=2, together=together) == alone
    assert 1 < max(map(len, groups)) <= GROUP
    assert all(group == sorted(group) for group in groups)


def test_what_cannot_be_evaluated_together_is_evaluated_alone(problem, tmp_path):
    def together(codes):
        raise MemoryError("too many")

    alone = _search(problem, tmp_path / "alone.jsonl")
    assert _search(problem, tmp_path / "both.jsonl", threads=2, together=together) == alone


def test_each_thread_is_prepared(problem):
    prepared = []
    with on_threads(
        problem.evaluate, problem.identify, 2, lambda: prepared.append(threading.get_ident())
    ) as evaluators:
        evaluators.submit(0, problem.space.sample(1, np.random.default_rng(0))[0])
        assert list(evaluators.collect()) == [0]
    assert prepared and threading.get_ident() not in prepared


def test_a_failure_is_tried_again_and_does_not_end_the_search(problem, tmp_path):
    failures = []

    def evaluate(code):
        if code.sum() % 3 == 0 and failures.count(code.tobytes()) < 1 + code.sum() % 2:
            failures.append(code.tobytes())
            raise ValueError("broken")
        return problem.evaluate(code)

    broken = dataclasses.replace(problem, evaluate=evaluate)
    alone = _search(broken, tmp_path / "alone.jsonl")
    failures.clear()
    assert _search(broken, tmp_path / "threads.jsonl", threads=3) == alone
    assert failures


def test_an_error_about_all_of_them_ends_it_and_what_waits_is_dropped(problem, tmp_path):
    begun = []

    def evaluate(code):
        begun.append(1)
        raise DataError("the images are gone")

    broken = dataclasses.replace(problem, evaluate=evaluate)
    with pytest.raises(DataError, match="gone"):
        _search(broken, tmp_path / "broken.jsonl", threads=2)
    assert len(begun) <= 8


def test_a_search_that_goes_on_remembers_what_succeeded(problem, tmp_path):
    path = tmp_path / "record.jsonl"
    _search(problem, path, evaluations=8)

    def evaluate(code):
        raise ValueError("broken")

    broken = dataclasses.replace(problem, evaluate=evaluate)
    assert len(_search(broken, path, evaluations=20)) == 20


def test_it_is_hopeless_if_the_first_ones_all_fail(problem, tmp_path):
    def evaluate(code):
        raise ValueError("broken")

    broken = dataclasses.replace(problem, evaluate=evaluate)
    with pytest.raises(RunError, match="The first 8 evaluations all failed"):
        _search(broken, tmp_path / "broken.jsonl", threads=2)
