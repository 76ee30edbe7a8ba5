"""The steps of a training, for supernets and for single networks alike.

sampler -> children of the step -> supervision -> losses -> gradients -> update of the weights
^                                                |
+----------- the loss of each child -------------+        only if the sampler learns

The weights are updated at the end of a step, or after each of its losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from search_spaces.progressive_norm import layer_share_at, progressive
from supernet.batches import TrainingData
from supernet.randomness import Stream, generator, seeded
from supernet.sampling import Child, LearningSampler, Moment, Sampler
from supernet.supervision import Supervision
from supernet.training.conflicts import Conflicts
from supernet.training.memory import MemoryPlan
from supernet.training.parallel.workers import Alone, Workers
from supernet.training.recipe import Recipe
from supernet.training.step import Maps, RunningStep

T = TypeVar("T")


class Teaching:
    """Takes steps; keeps the state of sampler and supervision.

    Args:
        network: The network to train.
        maps: Runs an architecture on its weights.
        data: Batches of training images.
        recipe: Number of epochs, batch size and rates.
        sampler: Chooses the children of each step.
        supervision: Teaches them; its own parameters are trained as well.
        seed: Decides the children and all random numbers in their runs.
        workers: The processes that share the training; this one alone by default.

    Raises:
        TrainingError: sampler or supervision do not go with several workers of that kind.
    """

    def __init__(
        self,
        network: nn.Module,
        maps: Maps,
        data: TrainingData,
        recipe: Recipe,
        sampler: Sampler,
        supervision: Supervision,
        seed: int,
        workers: Workers | None = None,
    ) -> None:
        self.workers = workers or Alone()
        self.workers.check(sampler, supervision)
        self.network, self.supervision, self.sampler = network, supervision, sampler
        self.steps_per_epoch = data.steps_per_epoch(recipe.batch_size)
        self.steps = self.steps_per_epoch * recipe.epochs
        self._maps, self._data, self._batch_size = maps, data, recipe.batch_size
        self._seed, self._recipe = seed, recipe
        self._device = next(network.parameters()).device
        self._progressive = progressive(network)
        self.memory_plan = MemoryPlan(recipe, self.workers)
        self.notes: list[str] = []
        """What a person should be told about the steps so far."""
        supervision.to(self._device)

    def parameters(self) -> dict[str, nn.Parameter]:
        """All that is trained, by name."""
        own = self.supervision.named_parameters(prefix="supervision")
        trained = {name: parameter for name, parameter in own if parameter.requires_grad}
        return {**dict(self.network.named_parameters()), **trained}

    def step(self, number: int, update: Callable[[], None]) -> dict[str, float]:
        """Take the step of that number.

        Args:
            number: From 0 on.
            update: Changes the weights by their gradients, and drops these.

        Returns:
            Its first `loss`, and the cosines between gradients that the recipe asks for.
        """
        for module in self._progressive:
            module.layer_share = layer_share_at(number, self.steps)
        moment, counter = Moment(number, self.steps), self.workers.counter(number, self.steps)
        children = self.sampler.children(moment, generator(self._seed, Stream.CHILDREN, counter))
        step, loss, cosines = self._within_memory(
            lambda: self._run(moment, children, counter, self._added_up(update))
        )
        if isinstance(self.sampler, LearningSampler):
            self.sampler.tell(children, step.losses())
        return {"loss": self.workers.mean(float(loss)), **cosines}

    def _added_up(self, update: Callable[[], None]) -> Callable[[], None]:
        """An update by the gradients of all workers."""

        def run() -> None:
            self.workers.add_up(self.network.parameters(), self.supervision.parameters())
            update()

        return run

    def _run(
        self,
        moment: Moment,
        children: Sequence[Child],
        counter: int,
        update: Callable[[], None],
    ) -> tuple[RunningStep, Tensor, dict[str, float]]:
        """Run a step's children and update the weights; its first loss and the cosines."""
        conflicts = self._conflicts(len(children))
        together = self.workers.together == self.workers.count
        each = together and conflicts is None and not self.supervision.whole_step
        each = each and self._recipe.update_each_child
        with seeded(self._seed, Stream.STEP, counter):
            step = RunningStep(
                moment,
                children,
                self._maps,
                lambda side: self._data.batch(moment.step, self._batch_size, side),
                self._device,
                self.workers,
                self.memory_plan,
            )
            found = []
            for loss in self.supervision.losses(step):
                if conflicts is not None:
                    conflicts.backward(loss)
                elif loss.requires_grad:
                    loss.backward()  # type: ignore[no-untyped-call]
                    if each:
                        update()
                found.append(loss.detach())
        if not each:
            update()
        return step, found[0], {} if conflicts is None else conflicts.cosines()

    def _conflicts(self, children: int) -> Conflicts | None:
        """Compares the gradients of a step's children if the recipe asks for it."""
        projected = self._recipe.gradient_projection
        if projected is None and not self._recipe.gradient_cosines:
            return None
        return Conflicts(self.network.parameters(), children, projected, self.workers)

    def _within_memory(self, run: Callable[[], T]) -> T:
        """Run a step, again with smaller parts of its images as often as memory runs out.

        Raises:
            TrainingError: not even one image fits, or there are other workers.
        """
        before = [buffer.clone() for buffer in self.supervision.buffers()]
        while True:
            with suppress(torch.OutOfMemoryError):  # its traceback would hold the step's memory
                return run()
            self.notes.append(self.memory_plan.halve())
            for parameter in self.parameters().values():
                parameter.grad = None
            for buffer, value in zip(self.supervision.buffers(), before, strict=True):
                buffer.copy_(value)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def memory(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """State of supervision and sampler besides the parameters: tensors and JSON."""
        buffers = dict(self.supervision.named_buffers(prefix="supervision"))
        if isinstance(self.sampler, LearningSampler):
            return buffers, dict(self.sampler.state())
        return buffers, {}

    def remember(self, tensors: Mapping[str, Tensor], sampler: Mapping[str, Any]) -> None:
        """Continue from what `memory` gave."""
        for name, buffer in self.supervision.named_buffers(prefix="supervision"):
            buffer.copy_(tensors[name])
        if isinstance(self.sampler, LearningSampler):
            self.sampler.load(sampler)
