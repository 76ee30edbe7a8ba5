"""Workers find what one process finds, whatever fails."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from nas.cluster.evaluators import on_workers
from nas.errors import DataError, RunError
from nas.search import make_searcher
from nas.search.engine import search
from nas.search.evaluators import Evaluating
from nas.search.objectives import Budgets, Measures
from nas.search.problem import Problem
from supernet.scores import Evaluation

pytestmark = pytest.mark.ray

N = 80


class Line:
    """A space of one gene; the larger, the slower and the more accurate."""

    num_genes = 1
    cardinalities = np.array([500])

    def sample(self, n, rng):
        return rng.integers(500, size=(n, 1))

    def mutate(self, codes, rng):
        return np.clip(codes + rng.choice([-1, 1], size=codes.shape), 0, 499)

    def crossover(self, first, second, rng):
        return np.where(rng.random(first.shape) < 0.5, first, second)

    def features(self, codes):
        return codes.astype(np.float32)

    def contains(self, codes):
        return ((codes >= 0) & (codes < 500)).all(axis=1)

    def size(self):
        return 500


def evaluate(code):
    share = float(np.sqrt(code[0] / 500))
    return Evaluation(share, share, 1 - share)


def identify(code):
    return str(code[0])


def measures(codes):
    ms = 1.0 + codes.astype(float)
    flat = ms[:, 0]
    return Measures(ms, ms, ms, flat, flat, flat)


PROBLEM = Problem(Line(), evaluate, measures, Budgets(((None,),)), identify)


class Faulty:
    """Makes what evaluates, with a fault for some codes; `folder` remembers across processes."""

    def __init__(self, fault, folder):
        self.fault, self.folder = fault, folder

    def __call__(self, shared):
        assert not shared["offset"].flags.writeable  # it is the object store's own memory
        if self.fault == "data":
            raise DataError("the data is not there")
        return Evaluating(self.evaluate, identify)

    def evaluate(self, code):
        number = int(code[0])
        if self.fault == "always" or (self.fault == "raises" and number % 7 == 0):
            raise ValueError(f"cannot evaluate {number}")
        if self.fault == "dies once" and number % 20 == 0 and self._first_time(number):
            os._exit(1)
        if self.fault == "kills" and number % 50 == 0:
            os._exit(1)
        return evaluate(code)

    def _first_time(self, number):
        try:
            (self.folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@contextmanager
def workers(cluster, make, said=None):
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with on_workers(
        cluster,
        make,
        {"offset": np.zeros(100_000)},
        identify=identify,
        costs=lambda codes: codes[:, 0] + 1.0,
        say=(said if said is not None else []).append,
    ) as found:
        yield found


def records(path, evaluators=None, problem=PROBLEM, evaluations=N):
    searcher = make_searcher("evolution", problem.brief(0, evaluations=evaluations))
    found = search(
        problem, searcher, evaluations=evaluations, record=path, lag=12, evaluators=evaluators
    )
    return [(r.index, r.id, r.code, r.failed or r.accuracy) for r in found]


@pytest.mark.parametrize("fault", ["none", "dies once"])
def test_workers_find_what_one_process_finds(local_ray, tmp_path, fault):
    said = []
    with workers(local_ray, Faulty(fault, tmp_path), said) as evaluators:
        found = records(tmp_path / "there.jsonl", evaluators)
    assert found == records(tmp_path / "here.jsonl")
    assert len({code for _, _, code, _ in found}) == N
    assert any("died" in line for line in said) == (fault == "dies once")
    assert evaluators.summary()["workers"] == 2
    assert evaluators.summary()["failures"] == said


def test_a_child_that_fails_twice_is_recorded_as_failed(local_ray, tmp_path):
    faulty = Faulty("raises", tmp_path)
    said = []
    with workers(local_ray, faulty, said) as evaluators:
        found = records(tmp_path / "there.jsonl", evaluators)
    assert {bool(failed is True) for _, id, _, failed in found if int(id) % 7 == 0} == {True}
    assert not any(failed is True for _, id, _, failed in found if int(id) % 7)
    assert any("failed twice" in line and "cannot evaluate" in line for line in said)
    import dataclasses

    here = dataclasses.replace(PROBLEM, evaluate=faulty.evaluate)
    assert found == records(tmp_path / "here.jsonl", problem=here)


def test_a_child_that_kills_workers_is_found_and_the_others_are_evaluated(local_ray, tmp_path):
    with workers(local_ray, Faulty("kills", tmp_path)) as evaluators:
        evaluators_found = {}
        for index, code in enumerate(range(40, 60)):
            evaluators.submit(index, np.array([code]))
        while len(evaluators_found) < 20:
            evaluators_found |= evaluators.collect()
    failed = {outcome.id for outcome in evaluators_found.values() if outcome.error}
    assert failed == {"50"}


def test_mistakes_end_the_search_with_their_own_message(local_ray, tmp_path):
    with (
        workers(local_ray, Faulty("data", tmp_path)) as evaluators,
        pytest.raises(DataError, match="^the data is not there$"),
    ):
        records(tmp_path / "a.jsonl", evaluators)
    with (
        workers(local_ray, Faulty("always", tmp_path)) as evaluators,
        pytest.raises(RunError, match="The first 8 evaluations all failed.*cannot evaluate"),
    ):
        records(tmp_path / "b.jsonl", evaluators)
