"""Supervisions, one per file: they compute the losses of each training step.

A supervision is a generator of losses. The gradients of each loss are computed as soon as it is
yielded, which frees its memory. Then the weights are updated, or the step's gradients add up:

    for child in step.children:
        yield F.cross_entropy(step.scores(child), step.batch(child).targets)

So a loss can join several children (run them all, then yield), and after a `yield`,
`step.gradients` has the gradients so far. If several losses are of children that ran before the
first of them, `whole_step` has to be true: the weights must not change in between. A supervision
is a module: its parameters are trained with the shared weights, and its buffers are kept in
checkpoints. An external teacher is held without being registered as a submodule (in a tuple, for
example), so that it is neither trained nor saved.

To add a supervision, add a file here that ends in `SUPERVISIONS.register(Method(...))`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

from torch import Tensor, nn

from search_spaces.registry import Registry
from supernet.batches import Batch
from supernet.method import Method
from supernet.sampling import Child, Moment


class Step(Protocol):
    """One training step: its children, their images, and their runs."""

    @property
    def moment(self) -> Moment:
        """The step, and the number of steps."""
        ...

    @property
    def children(self) -> Sequence[Child]:
        """As the sampler gave them."""
        ...

    def batch(self, child: Child) -> Batch:
        """A child's part of the step's images at its resolution, on the weights' device."""
        ...

    def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
        """Class scores (B, classes) in float32 of a child on its images, or on other ones."""
        ...

    def features(self, child: Child) -> tuple[Tensor, Tensor]:
        """The map that a child's head reads, averaged over positions, (B, C), and the scores."""
        ...

    def maps(self, child: Child, images: Tensor | None = None) -> dict[str, Tensor]:
        """The output of each part of a child by its name, in order; the last is the scores."""
        ...

    def gradients(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Gradients of a `whole_step`'s losses so far, of parameters that have one.

        To be read in place of `.grad`: if several processes share the step, that is a part.
        """
        ...


class Supervision(nn.Module, ABC):
    """Computes the losses of each step's children."""

    whole_step = False
    """Whether it needs all gradients of a step, with one update of the weights at its end."""

    @abstractmethod
    def losses(self, step: Step) -> Iterator[Tensor]:
        """The losses of a step, at least one: scalars whose gradients are added up.

        The training curve shows the first loss of each step. One without a gradient is shown and
        teaches nothing. Random numbers come from torch's global generator, which is seeded with
        the seed and the step.
        """


SUPERVISIONS: Registry[Method[Supervision]] = Registry("supervision", "supernet.supervision")
