"""Optuna's samplers, every gene a categorical parameter.

    tpe    tree-structured Parzen estimator    https://arxiv.org/abs/2304.11127
    nsga2  NSGA-II                             https://doi.org/10.1109/4235.996017
    gp     Gaussian process, log-EHVI          https://arxiv.org/abs/2310.20708

All run with their default settings, except for the population of NSGA-II: with the default of 50,
200 evaluations would be four generations. All three get the constraints as Optuna's
constraints. Infeasible proposals are not evaluated; they are reported with the worst error so far.

Library: Optuna, Akiba et al. 2019, https://arxiv.org/abs/1907.10902
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from nas.environment import torch_threads
from nas.errors import unknown_name
from nas.search.foreign.tool import Proposal
from nas.search.protocol import Codes, Floats

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

Sampler = Literal["tpe", "nsga2", "gp"]

POPULATION = 10
"""The best of 10, 20 and 50 (Optuna's default) for 50 to 200 evaluations of NAS-Bench-201."""


class OptunaTool:
    """A study in memory; see the module.

    Args:
        cardinalities: Number of categories of each gene.
        sampler: Which of Optuna's samplers.
        seed: Decides every choice.
        objectives: Number of objectives. If None, the first report decides, and genes are drawn
            uniformly until then.
        joint: Whether `tpe` models the genes jointly (Optuna's `multivariate`), which takes a
            fraction of the time; otherwise Optuna's default is used.
        population: The population of `nsga2`.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        sampler: Sampler,
        *,
        seed: int,
        objectives: int | None = None,
        joint: bool = False,
        population: int = POPULATION,
    ) -> None:
        from optuna.distributions import CategoricalDistribution

        if sampler not in get_args(Sampler):
            raise unknown_name("Optuna sampler", sampler, get_args(Sampler))
        self._cardinalities = tuple(int(count) for count in cardinalities)
        self._distributions: dict[str, BaseDistribution] = {
            f"gene{i}": CategoricalDistribution(tuple(range(count)))
            for i, count in enumerate(self._cardinalities)
        }
        self._alone = sampler == "gp"
        self._new_sampler = partial(_sampler, sampler, seed, joint, population)
        self._rng = np.random.default_rng(seed)
        self._study = None if objectives is None else self._new_study(objectives)
        self._open: dict[int, Trial | None] = {}
        self._count = 0
        self._worst: Floats | None = None

    def propose(self) -> Proposal:
        """The sampler's next trial."""
        self._count += 1
        if self._study is None:
            self._open[self._count] = None
            return Proposal(self._count, self._rng.integers(self._cardinalities).astype(np.int16))
        with quiet_optuna(), _one_thread(self._alone):
            trial = self._study.ask(self._distributions)
        self._open[self._count] = trial
        genes = np.array([trial.params[name] for name in self._distributions], dtype=np.int16)
        return Proposal(self._count, genes)

    def report(
        self, proposal: Proposal, code: Codes, objectives: Floats | None, constraints: Floats
    ) -> None:
        """See `Tool`; a code that differs from the proposed genes replaces them in its trial."""
        trial = self._open.pop(proposal.number)
        if objectives is not None:
            objectives = self._filled(objectives)
        if self._study is None and objectives is not None:
            self._study = self._new_study(len(objectives))
        if self._study is None:
            return
        with quiet_optuna():
            same = np.array_equal(code, proposal.genes)
            if trial is not None and objectives is not None and same:
                for i, value in enumerate(constraints):
                    trial.set_constraint(f"limit{i}", float(value))
                self._study.tell(trial, [float(value) for value in objectives])
            else:
                self._replace(self._study, trial, code, objectives, constraints)

    def _replace(
        self,
        study: Study,
        trial: Trial | None,
        code: Codes,
        objectives: Floats | None,
        constraints: Floats,
    ) -> None:
        """Drop a trial, and add one with the canonical code in its place."""
        from optuna.trial import TrialState, create_trial

        attributes: dict[str, Any] = {}
        if trial is not None:
            attributes = study.tell(trial, state=TrialState.FAIL).system_attrs
        if objectives is None:
            return
        genes = zip(self._distributions, code, strict=True)
        study.add_trial(
            create_trial(
                values=[float(value) for value in objectives],
                params={name: int(gene) for name, gene in genes},
                distributions=dict(self._distributions),
                system_attrs=dict(attributes),  # such as its generation
                constraints={f"limit{i}": float(v) for i, v in enumerate(constraints)},
            )
        )

    def _filled(self, objectives: Floats) -> Floats | None:
        """Objectives, unknown ones replaced by the worst so far; None before any is known."""
        if np.isfinite(objectives).all():
            worst = objectives if self._worst is None else np.maximum(self._worst, objectives)
            self._worst = np.asarray(worst, dtype=float)
            return objectives
        if self._worst is None:
            return None
        return np.where(np.isfinite(objectives), objectives, self._worst)

    def _new_study(self, objectives: int) -> Study:
        import optuna

        with quiet_optuna():
            return optuna.create_study(
                directions=["minimize"] * objectives, sampler=self._new_sampler()
            )


def _sampler(name: Sampler, seed: int, joint: bool, population: int) -> BaseSampler:
    from optuna import samplers

    with quiet_optuna():
        if name == "tpe":
            return samplers.TPESampler(seed=seed, multivariate=joint or None)
        if name == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=population)
        return samplers.GPSampler(seed=seed)


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log lines and its notes on experimental parts."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


@contextlib.contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """Use a single thread for BLAS, OpenMP and torch, if wanted.

    The Cholesky factors of the Gaussian process are small; two threads on busy cores take 100
    times as long.
    """
    if not wanted:
        yield
        return
    import threadpoolctl

    with torch_threads(1), threadpoolctl.threadpool_limits(1):
        yield
