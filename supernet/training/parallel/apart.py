"""Workers that run children of their own, each on its part of the images.

A step trains as many times more children as there are workers. Each child sees fewer images, and
its batch norms use those alone, so the result depends on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn

from search_spaces.errors import TrainingError
from supernet.sampling import LearningSampler, Sampler
from supernet.supervision import Supervision
from supernet.training.parallel.exchange import add_up, take_first
from supernet.training.parallel.together import device_of_exchanges, first_says
from supernet.training.parallel.workers import PartOfBatch, rows_of


class Apart:
    """The processes of torch's default group."""

    def __init__(self) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        self.leads, self.together = self.number == 0, 1
        self._share = 1.0
        """Of the step's images, those of this worker."""

    def check(self, sampler: Sampler, supervision: Supervision) -> None:
        """Raises TrainingError for what learns from the children, as workers would differ."""
        if isinstance(sampler, LearningSampler) or any(True for _ in supervision.buffers()):
            learner = sampler if isinstance(sampler, LearningSampler) else supervision
            raise TrainingError(
                f"{type(learner).__name__} learns from the children of each step, so all workers "
                "must run the same ones. Leave out the option that gives each its own."
            )

    def counter(self, step: int, steps: int) -> int:
        """Another number for each worker; the first has those of a single process."""
        return step + self.number * steps

    def own(self, batch: PartOfBatch) -> PartOfBatch:
        """The part of this worker.

        Raises:
            TrainingError: there are fewer images than workers.
        """
        images = len(batch.images)
        if images < self.count:
            raise TrainingError(
                f"A step has {images} images, and {self.count} workers share them. Give each "
                "worker one at least: raise the batch size, or take fewer workers."
            )
        rows = rows_of(self.number, self.count, images)
        self._share = (rows.stop - rows.start) / images
        return batch.rows(rows)

    def share(self, images: int) -> AbstractContextManager[slice]:
        """A child runs on all images that it sees."""
        return nullcontext(slice(None))

    def whole(self, part: Tensor, images: int) -> Tensor:
        """The part is the whole."""
        return part

    def add_up(self, network: Iterable[nn.Parameter], own: Iterable[nn.Parameter]) -> None:
        """Average over all images; a weight that no child of a worker uses has zeros there."""
        parameters = list(chain(network, own))
        touched = torch.tensor([each.grad is not None for each in parameters], dtype=torch.uint8)
        touched = touched.to(device_of_exchanges())
        dist.all_reduce(touched, op=dist.ReduceOp.MAX)
        add_up(self._scaled([p for p, used in zip(parameters, touched, strict=True) if used]))

    def summed(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The worker's own: no other worker runs these children."""
        return list(gradients)

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Those of the first worker."""
        take_first(list(tensors))

    def mean(self, loss: float) -> float:
        """The mean over all images."""
        total = torch.tensor([loss * self._share], device=device_of_exchanges())
        dist.all_reduce(total)
        return float(total)

    def agree(self, answer: bool) -> bool:
        """The first worker's answer."""
        return first_says(answer)

    @torch.no_grad()
    def _scaled(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Gradients by this worker's share of the images, zeros where there are none."""
        scaled = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            scaled.append(parameter.grad.mul_(self._share))
        return scaled
