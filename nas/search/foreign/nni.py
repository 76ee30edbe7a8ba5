"""NNI's search algorithms, run in this process.

    evolution  regularized evolution (nni.nas.strategy)    https://arxiv.org/abs/1802.01548
    tpe        tree-structured Parzen estimator (tuner)    https://papers.nips.cc/paper/4443
    random     without replacement (tuner)                 https://arxiv.org/abs/1902.07638

NNI maximises one number. With constraints, or with a single objective, it is minus the first
objective. Otherwise it is minus the share of the evaluated points that dominate a point (the rank
of MOGA, Fonseca and Fleming 1993).

NNI's server, web page and trial processes are never started: the server of NNI 3.0 listens on
every network interface, and no option changes that.

Library: Neural Network Intelligence 3.0, https://github.com/microsoft/nni
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from nas.errors import unknown_name
from nas.search.foreign.nni_space import NniSpace, Sample, importing_nni
from nas.search.foreign.tool import Proposal, cardinalities_of
from nas.search.protocol import Codes, CodeSpace, Floats

ALGORITHMS = ("evolution", "tpe", "random")


class NniTool:
    """An algorithm of NNI as a `Tool`; see the module.

    Args:
        space: The space to search.
        algorithm: One of `ALGORITHMS`.
        seed: Decides every choice.
        constrained: Whether there are constraints; then only the first objective counts.

    Raises:
        MissingExtraError: NNI is not installed.
        UnknownNameError: there is no such algorithm.
    """

    def __init__(
        self, space: CodeSpace, algorithm: str, *, seed: int, constrained: bool = False
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise unknown_name("NNI algorithm", algorithm, ALGORITHMS)
        self._space = NniSpace(space)
        self._algorithm: _Algorithm
        with quiet():
            if algorithm == "evolution":
                self._algorithm = _Evolution(self._space, seed)
            else:
                self._algorithm = _Tuner(self._space, algorithm, seed)
        self._cardinalities = cardinalities_of(space)
        self._rng = np.random.default_rng(seed)
        self._constrained = constrained
        self._told: list[Floats] = []
        self._open: set[int] = set()
        self._count = 0

    def propose(self) -> Proposal:
        """The algorithm's next sample; a uniform draw once it has no more."""
        self._count += 1
        with quiet():
            sample = self._algorithm.propose(self._count)
        if sample is None:
            genes = self._rng.integers(self._cardinalities).astype(np.int16)
            return Proposal(self._count, genes)
        self._open.add(self._count)
        return Proposal(self._count, self._space.genes(sample))

    def report(
        self, proposal: Proposal, code: Codes, objectives: Floats | None, constraints: Floats
    ) -> None:
        """See `Tool`; a code that was not evaluated is reported as a failed trial."""
        if proposal.number not in self._open:
            return
        self._open.remove(proposal.number)
        known = objectives is not None and bool(np.isfinite(objectives).all())
        with quiet():
            self._algorithm.report(proposal.number, self._metric(objectives) if known else None)

    def _metric(self, objectives: Floats | None) -> float:
        """The number that NNI maximises."""
        assert objectives is not None
        if self._constrained or len(objectives) == 1:
            return -float(objectives[0])
        self._told.append(objectives)
        others = np.stack(self._told)
        dominate = (others <= objectives).all(axis=1) & (others < objectives).any(axis=1)
        return -float(dominate.mean())


class _Algorithm(Protocol):
    def propose(self, number: int) -> Sample | None: ...

    def report(self, number: int, metric: float | None) -> None: ...


class _Tuner:
    """One of NNI's tuners, as `nni.nas.strategy.HPOTunerStrategy` drives it."""

    def __init__(self, space: NniSpace, algorithm: str, seed: int) -> None:
        with importing_nni():
            from nni import NoMoreTrialError
            from nni.algorithms.hpo.random_tuner import RandomTuner
            from nni.algorithms.hpo.tpe_tuner import TpeTuner
        self._no_more = NoMoreTrialError
        self._tuner = (
            TpeTuner(optimize_mode="maximize", seed=seed)
            if algorithm == "tpe"
            else RandomTuner(seed=seed)
        )
        mutables = space.mutable.simplify().items()
        self._tuner.update_search_space({name: m.as_legacy_dict() for name, m in mutables})
        self._samples: dict[int, Sample] = {}

    def propose(self, number: int) -> Sample | None:
        try:
            sample: Sample = self._tuner.generate_parameters(number)
        except self._no_more:
            return None
        self._samples[number] = sample
        return sample

    def report(self, number: int, metric: float | None) -> None:
        sample = self._samples.pop(number)
        if metric is not None:
            self._tuner.receive_trial_result(number, sample, metric)
        self._tuner.trial_end(number, metric is not None)


class _Evolution:
    """NNI's regularized evolution, with an engine that takes one model at a time."""

    def __init__(self, space: NniSpace, seed: int) -> None:
        with importing_nni():
            from nni.nas.execution import ExecutionEngine
            from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
            from nni.nas.space import ModelStatus, RawFormatModelSpace
            from nni.nas.strategy import RegularizedEvolution

        class OneAtATime(ExecutionEngine):  # type: ignore[misc]
            """Holds one submitted model, and accepts no second one."""

            submitted: Any = None

            def submit_models(self, *models: Any) -> None:
                (self.submitted,) = models

            def wait_models(self, *models: Any) -> None:
                """Results come later."""

            def idle_worker_available(self) -> bool:
                return self.submitted is None

            def budget_available(self) -> bool:
                return self.submitted is None

        self._engine = OneAtATime()
        self._strategy = RegularizedEvolution(seed=seed)
        self._strategy.initialize(RawFormatModelSpace(space.mutable, None), self._engine)
        self._final, self._end, self._status = FinalMetricEvent, TrainingEndEvent, ModelStatus
        self._models: dict[int, Any] = {}

    def propose(self, number: int) -> Sample | None:
        self._engine.submitted = None
        self._strategy._run()  # until one model is submitted; `run` may be called only once
        model = self._engine.submitted
        if model is None:
            return None
        self._models[number] = model
        sample: Sample = model.sample
        return sample

    def report(self, number: int, metric: float | None) -> None:
        model = self._models.pop(number)
        status = self._status.Failed
        if metric is not None:
            self._engine.dispatch_model_event(self._final(model, metric))
            status = self._status.Trained
        self._engine.dispatch_model_event(self._end(model, status))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence NNI's log lines, which go to stdout."""
    logger = logging.getLogger("nni")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
