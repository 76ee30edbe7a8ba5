"""Who evaluates the children of a supernet: threads of this process, or a cluster's workers.

Children are small networks, which several threads hardly make faster: two of `photo-mobile` at
once, on one thread each, take .7 of the time of one after the other on two threads
(`scripts/evaluation_threads.py`). Each thread takes several that begin alike (`supernet/tree.py`).
A GPU has one thread.

`cluster.jsonl` in the run's folder gets a line for each search on a cluster: its workers, their
throughput and what went wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import torch

from nas.cluster.connection import Cluster
from nas.cluster.evaluators import on_workers
from nas.environment import torch_threads
from nas.run.evaluator import Parts, evaluator_from
from nas.run.supernets import TrainedSupernet
from nas.run.threads import networks_at_once
from nas.run.work import Work
from nas.search.evaluators import Evaluating, Evaluators, on_threads
from nas.search.problem import Problem
from nas.search.protocol import Codes, Floats
from nas.storage import append_line
from search_spaces import SearchSpace
from search_spaces.data_shape import DataShape
from supernet.scores import Evaluation

FILE = "cluster.jsonl"


@dataclass(frozen=True)
class ChildrenOf:
    """Makes, in a worker, what evaluates codes. Only what it holds travels, no file."""

    searched: SearchSpace
    """The space that the codes belong to."""
    whole: SearchSpace
    """The supernet's space."""
    data_shape: DataShape
    device: str

    def __call__(self, parts: Parts) -> Evaluating:
        """Evaluates with these weights and images."""
        evaluator = evaluator_from(parts, self.whole, self.data_shape, self.device)

        def evaluate(code: Codes) -> Evaluation:
            return evaluator(self.searched.decode(code))

        return Evaluating(evaluate, lambda code: self.searched.decode(code).id)


@contextmanager
def evaluators_of(
    work: Work, problem: Problem, trained: TrainedSupernet, record: str
) -> Iterator[Evaluators]:
    """Who evaluates during a search; `record` names the search's file of evaluations."""
    cluster = work.cluster
    if cluster is None:
        threads = networks_at_once(work.context.device)
        with _here(problem, trained, work.context.space, threads) as evaluators:
            yield evaluators
        return
    _say_lag(work, cluster)
    context, device = work.context, "cuda" if cluster.choice.gpus else "cpu"
    make = ChildrenOf(context.space, context.whole_space, context.data.shape, device)
    with on_workers(
        cluster,
        make,
        trained.evaluator.parts(),
        identify=problem.identify,
        costs=lambda codes: _macs(problem, codes),
        say=work.console.say,
    ) as workers:
        try:
            yield workers
        finally:
            append_line(work.path / FILE, {"search": record, **workers.summary()})


@contextmanager
def _here(
    problem: Problem, trained: TrainedSupernet, space: SearchSpace, threads: int
) -> Iterator[Evaluators]:
    """Evaluates in this process on so many threads, several children together on each."""
    stopped = Event()

    def together(codes: Sequence[Codes]) -> list[Evaluation]:
        return trained.evaluator.all_of([space.decode(code) for code in codes], stopped)

    def prepare() -> None:
        if threads > 1:
            torch.set_num_threads(1)

    with (
        torch_threads(1 if threads > 1 else torch.get_num_threads()),
        on_threads(problem.evaluate, problem.identify, threads, prepare, together) as evaluators,
    ):
        try:
            yield evaluators
        finally:
            stopped.set()  # a group at work ends after its present batch


def _macs(problem: Problem, codes: Codes) -> Floats:
    """What evaluations cost, roughly."""
    return problem.measures(codes).macs


def _say_lag(work: Work, cluster: Cluster) -> None:
    """Say where evaluations run, and whether the order of asking keeps workers idle."""
    work.console.say(f"evaluating on {cluster.workers} workers ({cluster.address})")
    lag = work.settings.lag
    if cluster.workers > lag:
        work.console.say(
            f"Warning: only {lag} of them are busy at once, because each architecture is chosen "
            f"when all but the {lag} before it are known. --lag {2 * cluster.workers} keeps all "
            "of them busy; the search then finds other architectures."
        )
