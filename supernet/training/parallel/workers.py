"""Several processes that train one network together, as a training step sees them.

    Alone       one process
    Together    every worker runs the same children, each on its part of the step's images
    Apart       every worker runs children of its own on its own part of the images

`Together` computes what one process would compute from the same images, up to rounding. With
`Apart` more children are trained in a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from supernet.sampling import Sampler
from supernet.supervision import Supervision


class PartOfBatch(NamedTuple):
    """The images that one child sees."""

    images: Tensor
    targets: Tensor
    indices: Tensor

    def rows(self, rows: slice) -> PartOfBatch:
        """Some of the images."""
        return PartOfBatch(self.images[rows], self.targets[rows], self.indices[rows])


class Workers(Protocol):
    """The processes that share a training. Each of them calls the same methods in one order."""

    @property
    def count(self) -> int:
        """How many processes there are."""
        ...

    @property
    def together(self) -> int:
        """How many processes run the same child."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates and writes checkpoints."""
        ...

    def check(self, sampler: Sampler, supervision: Supervision) -> None:
        """Raises TrainingError if these cannot be used by several processes in this way."""
        ...

    def counter(self, step: int, steps: int) -> int:
        """The number that decides children and chance of a step; equal ones give equal draws."""
        ...

    def own(self, batch: PartOfBatch) -> PartOfBatch:
        """The images of a step's batch that this process's losses are about."""
        ...

    def share(self, images: int) -> AbstractContextManager[slice]:
        """The rows of that many images that this process runs a child on.

        A child that runs within the block draws and normalises as if it ran on all of them.
        """
        ...

    def whole(self, part: Tensor, images: int) -> Tensor:
        """What all processes computed from their rows, (rows, ...) -> (images, ...)."""
        ...

    def add_up(self, network: Iterable[nn.Parameter], own: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, so that each has the step's.

        Args:
            network: What children are made of.
            own: Parameters of the supervision.
        """
        ...

    def summed(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """What `add_up` would make of gradients, in the middle of a step; they stay as they are.

        A process whose children are its own gets its own gradients.
        """
        ...

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the tensors of the one that leads, before the first step."""
        ...

    def mean(self, loss: float) -> float:
        """The loss over all images of a step, from those of all processes."""
        ...

    def agree(self, answer: bool) -> bool:
        """The answer of the process that leads."""
        ...


class Alone:
    """One process that does everything."""

    leads, count, together = True, 1, 1

    def check(self, sampler: Sampler, supervision: Supervision) -> None:
        """Everything can be used."""

    def counter(self, step: int, steps: int) -> int:
        """The step's number."""
        return step

    def own(self, batch: PartOfBatch) -> PartOfBatch:
        """All of them."""
        return batch

    def share(self, images: int) -> AbstractContextManager[slice]:
        """All rows."""
        return nullcontext(slice(None))

    def whole(self, part: Tensor, images: int) -> Tensor:
        """The part is the whole."""
        return part

    def add_up(self, network: Iterable[nn.Parameter], own: Iterable[nn.Parameter]) -> None:
        """There is nothing to add."""

    def summed(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients themselves."""
        return list(gradients)

    def align(self, tensors: Iterable[Tensor]) -> None:
        """There is nothing to align."""

    def mean(self, loss: float) -> float:
        """The loss itself."""
        return loss

    def agree(self, answer: bool) -> bool:
        """The answer itself."""
        return answer


def rows_of(worker: int, workers: int, images: int) -> slice:
    """The rows of one worker: parts in order, whose sizes differ by one at most."""
    return slice(worker * images // workers, (worker + 1) * images // workers)
