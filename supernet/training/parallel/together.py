"""Workers that run the same children, each on its part of the images.

    images of the step -> own rows -> child -> own scores -> everyone's scores -> loss
    weights <- everyone's gradients, added up <- own scores <-

Every worker computes the same loss from the scores of all images, so any supervision gives what it
gives in one process, whatever its losses are made of, and no loss needs a weight when the images
do not divide evenly. A worker makes the whole batch, because mixed images need their partners.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from search_spaces.errors import TrainingError
from supernet.sampling import Sampler
from supernet.supervision import Supervision
from supernet.training.parallel.exchange import add_up, gathered, take_first
from supernet.training.parallel.whole_batch import WholeBatch
from supernet.training.parallel.workers import PartOfBatch, rows_of


class Together:
    """The processes of torch's default group."""

    def __init__(self) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        self.leads, self.together = self.number == 0, self.count

    def check(self, sampler: Sampler, supervision: Supervision) -> None:
        """Everything can be used."""

    def counter(self, step: int, steps: int) -> int:
        """The step's number: all workers draw the same."""
        return step

    def own(self, batch: PartOfBatch) -> PartOfBatch:
        """Losses are about all images."""
        return batch

    @contextmanager
    def share(self, images: int) -> Iterator[slice]:
        """The rows of this worker.

        Raises:
            TrainingError: there are fewer images than workers.
        """
        if images < self.count:
            raise TrainingError(
                f"A child sees {images} images in a step, and {self.count} workers share them. "
                "Give each worker one at least: raise the batch size, or take fewer workers."
            )
        parts = [rows_of(worker, self.count, images) for worker in range(self.count)]
        with WholeBatch(parts[self.number], [part.stop - part.start for part in parts]):
            yield parts[self.number]

    def whole(self, part: Tensor, images: int) -> Tensor:
        """The rows of all workers."""
        return gathered(part, rows_of(self.number, self.count, images), images)

    def add_up(self, network: Iterable[nn.Parameter], own: Iterable[nn.Parameter]) -> None:
        """Add up those of the network; each worker already has the supervision's.

        Machines may round the latter differently, and all must take the same step.
        """
        add_up([each.grad for each in network if each.grad is not None])
        take_first([each.grad for each in own if each.grad is not None])

    def summed(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Sums over all workers."""
        sums = [gradient.clone() for gradient in gradients]
        add_up(sums)
        return sums

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Those of the first worker."""
        take_first(list(tensors))

    def mean(self, loss: float) -> float:
        """Every worker has it."""
        return loss

    def agree(self, answer: bool) -> bool:
        """The first worker's answer."""
        return first_says(answer)


def first_says(answer: bool) -> bool:
    """The first worker's answer, on every worker."""
    told = torch.tensor([answer], dtype=torch.uint8, device=device_of_exchanges())
    dist.broadcast(told, src=0)
    return bool(told.item())


def device_of_exchanges() -> torch.device:
    """Where the group's tensors must be."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
