"""The training of one network of a front, as any process can do it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nas.errors import DataError
from nas.retrain import fresh_network, retrain, score_validation
from nas.retrain.stored_teacher import StoredTeacher, read
from nas.run.context import Context
from nas.run.jobs import Worker
from nas.settings import Settings
from search_spaces import Architecture, Network, build_network
from supernet.supervision import Supervision
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Checkpoints, Curve, TrainingProgress
from supernet.training.parallel.workers import Workers
from supernet.training.recipe import Recipe

TEACHER = "teacher"
"""The name of the teacher's answers among what workers share."""


@dataclass(frozen=True)
class NetworkJob:
    """The training of one network, for the workers of a cluster or for this process."""

    settings: Settings
    data_id: str
    architecture: Architecture
    recipe: Recipe
    seed: int
    start: str | None
    """The supernet whose weights it starts from; None for new weights."""
    teacher: str | None
    """The key of the teacher's answers, if there is one."""

    @property
    def key(self) -> str:
        """Which training it is: a checkpoint of another one is refused."""
        return (
            f"network {self.architecture.id}, {self.recipe.model_dump_json()}, "
            f"data {self.data_id}, seed {self.seed}, from {self.start}, taught by {self.teacher}"
        )

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the key, for names."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]

    def changed(self, values: Mapping[str, float]) -> NetworkJob:
        """The same training with other values of the recipe."""
        return replace(self, recipe=self.recipe.model_copy(update=dict(values)))

    def __call__(self, worker: Worker) -> bytes:
        """Train on a cluster; weights and curve as one file.

        Raises:
            DataError: this machine has other images than the driver.
        """
        context = Context(self.settings)
        context.device = worker.device
        if context.data.id != self.data_id:
            raise DataError(
                f"The images at '{self.settings.data}' differ from the driver's "
                f"({context.data.id} instead of {self.data_id}). Give all machines the same ones."
            )
        weights: bytes | None = worker.shared(self.architecture.id) if self.start else None
        answers: bytes | None = worker.shared(TEACHER) if self.teacher else None
        network = self.begin(context, weights)
        curve = self.train(
            context,
            network,
            answers,
            checkpoints=worker.checkpoints(self.key),
            progress=worker.progress,
            point=worker.point,
            workers=worker.workers,
        )
        return to_bytes(network.state_dict(), {"id": self.architecture.id, "curve": curve})

    def begin(self, context: Context, weights: bytes | None) -> Network:
        """The network before its training, from the supernet's weights or new ones."""
        shape = context.data.shape
        if weights is None:
            network = fresh_network(self.architecture, shape, self.seed)
        else:
            network = build_network(self.architecture, shape)
            network.load_state_dict(from_bytes(weights, "of the start")[0])
        return network.to(context.device)

    def train(
        self,
        context: Context,
        network: Network,
        answers: bytes | None,
        *,
        checkpoints: Checkpoints,
        progress: Callable[[TrainingProgress], None],
        point: Callable[[Mapping[str, float]], None] | None = None,
        workers: Workers | None = None,
    ) -> Curve:
        """Train, or continue from the checkpoint; returns the validation curve."""
        return retrain(
            network,
            context.retraining_batches(self.seed),
            self.recipe,
            seed=self.seed,
            validate=lambda net: {"accuracy": score_validation(net, context.data).accuracy},
            checkpoints=checkpoints,
            progress=progress,
            supervision=self._supervision(answers),
            point=point,
            workers=workers,
        )

    def _supervision(self, answers: bytes | None) -> Supervision | None:
        if answers is None or self.teacher is None:
            return None
        return StoredTeacher(read(answers, self.teacher))
