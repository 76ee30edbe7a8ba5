"""One training step at work: the children's images, and their runs on the shared weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.network import Wrap
from supernet.batches import Batch
from supernet.sampling import Child, Moment
from supernet.training.draws import drawn_for
from supernet.training.memory import MemoryPlan, run_in_parts
from supernet.training.parallel.workers import PartOfBatch, Workers

Maps = Callable[[Tensor, Architecture, Wrap], Iterator[tuple[str, Tensor]]]
"""Runs an architecture on images: the name and the output of each part, the scores last.

Parts are run through the last argument."""
Kept = Callable[[Iterator[tuple[str, Tensor]]], dict[str, Tensor]]
"""Reads the outputs and keeps some of them."""


class RunningStep:
    """One step, as a supervision sees it.

    Args:
        moment: The step, and the number of steps.
        children: The sampler's children, in its order.
        maps: Runs a child.
        batch: Makes the step's batch at a resolution.
        device: The device of the weights.
        workers: The processes that share the step.
        memory: How much of the step is in memory at once.
    """

    def __init__(
        self,
        moment: Moment,
        children: Sequence[Child],
        maps: Maps,
        batch: Callable[[int], Batch],
        device: torch.device,
        workers: Workers,
        memory: MemoryPlan,
    ) -> None:
        self.moment, self.children = moment, tuple(children)
        self._maps, self._batch, self._device = maps, batch, device
        self._workers, self._memory = workers, memory
        self._batches: dict[int, PartOfBatch] = {}
        self._seen: dict[Child, Tensor] = {}

    def batch(self, child: Child) -> PartOfBatch:
        """A child's part of the step's images at its resolution, on the weights' device."""
        whole = self._whole(child.architecture.resolution)
        return whole.rows(child.rows(len(whole.images)))

    def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
        """Class scores (B, classes) in float32 of a child on its images, or on other ones."""
        *_, scores = self._run(child, images, _last).values()
        return scores

    def features(self, child: Child) -> tuple[Tensor, Tensor]:
        """The map that a child's head reads, averaged over positions, (B, C), and the scores."""
        features, scores = self._run(child, None, _features).values()
        return features, scores

    def maps(self, child: Child, images: Tensor | None = None) -> dict[str, Tensor]:
        """The output of each part of a child by its name, in order; the last is the scores."""
        return self._run(child, images, dict)

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

    def _run(self, child: Child, images: Tensor | None, kept: Kept) -> dict[str, Tensor]:
        """Run a child on its images, or on other ones; the outputs that are kept, by name."""
        x = self.batch(child).images if images is None else images
        names: list[str] = []

        def run(part: Tensor, rows: slice) -> list[Tensor]:
            around = partial(self._around, rows, len(x))
            with around() as own:
                wrap = self._memory.wrap(around)
                outputs = kept(self._maps(part[own], child.architecture, wrap))
            names[:] = outputs
            outputs[names[-1]] = _precise(outputs[names[-1]])
            return [self._workers.whole(output, len(part)) for output in outputs.values()]

        with self._mixed_precision():
            found = run_in_parts(run, x, self._memory.parts(len(x)))
        outputs = dict(zip(names, found, strict=True))
        if images is None:
            self._seen.setdefault(child, outputs[names[-1]].detach())
        return outputs

    @contextmanager
    def _around(self, part: slice, images: int) -> Iterator[slice]:
        """Where a child runs on a part of its images: this worker's rows of the part."""
        whole = drawn_for(part, images)
        with whole, self._workers.share(part.stop - part.start) as rows:
            yield rows

    def _mixed_precision(self) -> torch.autocast:
        cuda = self._device.type == "cuda"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=cuda)


def _last(maps: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The scores alone; what comes before them is not kept in memory."""
    return dict(deque(maps, maxlen=1))


def _features(maps: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The last map before the scores, averaged here so that workers exchange little."""
    (_, last), (head, scores) = deque(maps, maxlen=2)
    return {"features": _precise(last).mean((2, 3)), head: scores}


def _precise(output: Tensor) -> Tensor:
    """An output in float32, or in float64 where the network has it."""
    return output if output.dtype == torch.float64 else output.float()
