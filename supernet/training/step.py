"""One training step at work: the children's images, and their runs on the shared weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from supernet.batches import Batch
from supernet.sampling import Child, Moment
from supernet.training.parallel.workers import PartOfBatch, Workers

Maps = Callable[[Tensor, Architecture], Iterator[tuple[str, Tensor]]]
"""Runs an architecture on images: the name and the output of each part, the scores last."""


class RunningStep:
    """One step, as a supervision sees it.

    Args:
        moment: The step, and the number of steps.
        children: The sampler's children, in its order.
        maps: Runs a child.
        batch: Makes the step's batch at a resolution.
        device: The device of the weights.
        workers: The processes that share the step.
    """

    def __init__(
        self,
        moment: Moment,
        children: Sequence[Child],
        maps: Maps,
        batch: Callable[[int], Batch],
        device: torch.device,
        workers: Workers,
    ) -> None:
        self.moment, self.children = moment, tuple(children)
        self._maps, self._batch, self._device = maps, batch, device
        self._workers = workers
        self._batches: dict[int, PartOfBatch] = {}
        self._seen: dict[Child, Tensor] = {}

    def batch(self, child: Child) -> PartOfBatch:
        """A child's part of the step's images at its resolution, on the weights' device."""
        whole = self._whole(child.architecture.resolution)
        return whole.rows(child.rows(len(whole.images)))

    def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
        """Class scores (B, classes) in float32 of a child on its images, or on other ones."""
        x = self._images(child, images)
        with self._mixed_precision(), self._workers.share(len(x)) as rows:
            maps = self._maps(x[rows], child.architecture)
            _, scores = deque(maps, maxlen=1).pop()  # does not keep the other maps in memory
        return self._noted(child, images, self._workers.whole(_precise(scores), len(x)))

    def maps(self, child: Child, images: Tensor | None = None) -> dict[str, Tensor]:
        """The output of each part of a child by its name, in order; the last is the scores."""
        x = self._images(child, images)
        with self._mixed_precision(), self._workers.share(len(x)) as rows:
            maps = dict(self._maps(x[rows], child.architecture))
        last = next(reversed(maps))
        maps[last] = _precise(maps[last])
        maps = {name: self._workers.whole(part, len(x)) for name, part in maps.items()}
        self._noted(child, images, maps[last])
        return maps

    def gradients(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Gradients of the step so far, of parameters that have one."""
        return self._workers.summed([p.grad for p in parameters if p.grad is not None])

    def losses(self) -> list[float]:
        """Cross entropy of each child with its labels; NaN for a child that was not run."""
        found = []
        for child in self.children:
            scores, loss = self._seen.get(child), float("nan")
            if scores is not None:
                loss = float(F.cross_entropy(scores, self.batch(child).targets))
            found.append(loss)
        return found

    def _whole(self, resolution: int) -> PartOfBatch:
        if resolution not in self._batches:
            batch = self._batch(resolution)
            tensors = (batch.images, batch.targets, batch.indices)
            whole = PartOfBatch(*(x.to(self._device) for x in tensors))
            self._batches[resolution] = self._workers.own(whole)
        return self._batches[resolution]

    def _images(self, child: Child, images: Tensor | None) -> Tensor:
        return self.batch(child).images if images is None else images

    def _noted(self, child: Child, images: Tensor | None, scores: Tensor) -> Tensor:
        """Remember a child's first scores on its own images."""
        if images is None:
            self._seen.setdefault(child, scores.detach())
        return scores

    def _mixed_precision(self) -> torch.autocast:
        cuda = self._device.type == "cuda"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=cuda)


def _precise(scores: Tensor) -> Tensor:
    """Scores in float32, or in float64 where the network has it."""
    return scores if scores.dtype == torch.float64 else scores.float()
