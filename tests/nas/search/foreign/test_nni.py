from __future__ import annotations

import socket
import subprocess

import numpy as np
import pytest

from nas.errors import SpaceError, UnknownNameError
from nas.search import make_searcher
from nas.search.brief import Brief
from search_spaces import load_space

pytest.importorskip("nni")

from nas.search.foreign.nni import ALGORITHMS, NniTool, quiet  # noqa: E402
from nas.search.foreign.nni_space import NniSpace, importing_nni  # noqa: E402


@pytest.fixture(scope="module")
def ours():
    return load_space("hybrid-tiny")


def test_a_space_is_a_mutable_with_a_category_per_gene(ours):
    mutable = NniSpace(ours).mutable
    leaves = mutable.simplify()
    assert list(leaves) == [gene.name for gene in ours.genes]
    assert [len(leaf.values) for leaf in leaves.values()] == ours.cardinalities.tolist()
    assert mutable.contains(mutable.random(random_state=np.random.RandomState(0)))


def test_an_architecture_survives_the_way_there_and_back(ours):
    foreign = NniSpace(ours)
    for code in ours.sample(50, np.random.default_rng(0)):
        sample = foreign.sample(code)
        assert foreign.mutable.contains(sample)
        np.testing.assert_array_equal(foreign.code(sample), code)


def test_a_sample_of_nni_is_an_architecture_of_ours(ours):
    foreign = NniSpace(ours)
    random = np.random.RandomState(0)
    for _ in range(20):
        architecture = ours.decode(foreign.code(foreign.mutable.random(random_state=random)))
        assert ours.contains(ours.encode(architecture)[None])[0]


def test_a_sample_of_another_space_is_named(ours, space):
    with pytest.raises(SpaceError, match="is not of this space"):
        NniSpace(ours).code({"gene0": "1"})
    assert NniSpace(space).choices["gene2"] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_searches_a_space_of_ours(ours, algorithm):
    brief = Brief(ours, 0, known_objectives=lambda codes: ours.features(codes)[:, :1])
    searcher = make_searcher(f"nni-{algorithm}", brief)
    asked = np.concatenate([searcher.ask(1) for _ in range(30)])
    assert ours.contains(asked).all()
    assert len(np.unique(asked, axis=0)) == 30


def test_evolution_asks_what_nni_evaluates_by_itself(space):
    with importing_nni():
        from nni.nas.execution import ExecutionEngine
        from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
        from nni.nas.space import ModelStatus, RawFormatModelSpace
        from nni.nas.strategy import RegularizedEvolution

    foreign = NniSpace(space)
    evaluated: list[np.ndarray] = []

    class AtOnce(ExecutionEngine):
        def submit_models(self, *models):
            for model in models:
                code = foreign.code(model.sample)
                evaluated.append(code)
                error = float(space.objectives(code[None])[0, 0])
                self.dispatch_model_event(FinalMetricEvent(model, -error))
                self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))

        def wait_models(self, *models):
            pass

        def idle_worker_available(self):
            return True

        def budget_available(self):
            return len(evaluated) < 112

    with quiet():
        RegularizedEvolution(seed=7)(RawFormatModelSpace(foreign.mutable, None), AtOnce())
    assert len(evaluated) > 100  # a whole population and some of its children
    asked = space.search(
        make_searcher("nni-evolution", space.brief(7, limit=100.0)), len(evaluated)
    )
    np.testing.assert_array_equal(asked, evaluated)


def test_tpe_asks_what_the_tuner_of_nni_generates(space):
    with importing_nni():
        from nni.algorithms.hpo.tpe_tuner import TpeTuner
    foreign = NniSpace(space)
    tuner = TpeTuner(optimize_mode="minimize", seed=7)
    expected = []
    with quiet():
        tuner.update_search_space(
            {name: {"_type": "choice", "_value": words} for name, words in foreign.choices.items()}
        )
        for number in range(60):
            sample = tuner.generate_parameters(number)
            expected.append(foreign.code(sample))
            error = float(space.objectives(expected[-1][None])[0, 0])
            tuner.receive_trial_result(number, sample, error)
            tuner.trial_end(number, True)
    asked = space.search(make_searcher("nni-tpe", space.brief(7, limit=100.0)), 60)
    np.testing.assert_array_equal(asked, expected)


def test_no_process_or_socket_is_started(space, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("NNI started something")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    for algorithm in ALGORITHMS:
        space.search(make_searcher(f"nni-{algorithm}", space.brief()), 5)


def test_an_unknown_algorithm_is_named(space):
    with pytest.raises(UnknownNameError, match="Unknown NNI algorithm 'tpo'"):
        NniTool(space, "tpo", seed=0)
