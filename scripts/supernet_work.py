"""A supernet to search on without a run, for several scripts."""

from __future__ import annotations

from dataclasses import dataclass

from nas.progress import Silent
from nas.run.context import Context
from nas.run.known_latencies import known_of
from nas.run.search import problem_of
from nas.run.supernets import TrainedSupernet, supernet_of
from nas.search.objectives import Measures
from nas.search.problem import Problem
from nas.search.protocol import Codes
from nas.settings import Settings
from supernet.method import Setup
from supernet.training.train import train


class Said(Silent):
    """Prints the progress of the steps."""

    def say(self, message: str) -> None:
        """One line."""
        print(message, flush=True)


@dataclass(frozen=True)
class Opened:
    """The objects that a search needs."""

    context: Context
    trained: TrainedSupernet
    problem: Problem

    def measures(self, codes: Codes) -> Measures:
        """Predicted latencies and counted costs."""
        return self.problem.measures(codes)


def train_as_set(context: Context, setup: Setup) -> None:
    """Train a supernet as the settings say, without a validation curve."""
    train(
        setup.supernet,
        context.training_batches(context.settings.seed),
        context.recipe,
        context.training.sampler.make(setup),
        context.training.supervision.make(setup),
        seed=context.settings.seed,
    )


def opened(settings: Settings, validation: int | None = None) -> Opened:
    """A search's problem, its supernet trained now or found in the cache.

    Args:
        settings: The search's settings.
        validation: Number of images to evaluate on; all by default.
    """
    context, said = Context(settings, judged_by=validation), Said()
    trained = supernet_of(context, said)
    print({k: round(v, 4) for k, v in trained.curve[-1].items()}, flush=True)
    return Opened(context, trained, problem_of(context, known_of(context, said), trained))
