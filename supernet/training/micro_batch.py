"""The images of a step in parts, for batches that do not fit in memory.

    scores    = join(child(part) for each part)          what a part's layers computed is dropped
    gradients = sum over parts of d loss / d scores * d child(part) / d weights

A loss is computed from the scores of all images, whatever it is made of. Each part is then run
again for its gradients, so memory holds one part of one child at a time, however many children a
loss joins. The extra forward passes take about a third of a step.

Losses and gradients are those of the whole batch, stochastic depth included, up to rounding. The
exception is batch norm: it sees the statistics of each part alone.
Paper: Chen et al. 2016, https://arxiv.org/abs/1604.06174 (Section 3)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from search_spaces.errors import TrainingError
from supernet.training.draws import DrawsOfWhole
from supernet.training.parallel.workers import Workers, rows_of

Run = Callable[[Tensor], list[Tensor]]
"""Runs a child on some images; its outputs."""


class MicroBatch:
    """How many images a child runs on at once, in each worker.

    Args:
        images: At the beginning; None for all that a child sees in a step.
        batch_size: Images in a step.
        workers: The processes that share the training.
    """

    def __init__(self, images: int | None, batch_size: int, workers: Workers) -> None:
        self.images, self._batch_size, self._workers = images, batch_size, workers

    def parts(self, images: int) -> list[slice]:
        """The rows of each part, as many as are needed.

        Workers that run a child together have one image each at least, so a part may have one
        more for some of them if the images do not divide evenly.
        """
        if self.images is None:
            return [slice(0, images)]
        together = self._workers.together
        wanted = -(-images // (self.images * together))
        parts = max(1, min(wanted, images // together))
        return [rows_of(part, parts, images) for part in range(parts)]

    def halve(self) -> str:
        """Take half as many after a step ran out of memory; says so in a sentence.

        Raises:
            TrainingError: there is nothing to halve, or other workers would wait for this one.
        """
        now = self._batch_size if self.images is None else min(self.images, self._batch_size)
        if self._workers.count > 1:
            raise TrainingError(
                f"A worker's memory does not suffice for {now} images at once. One of several "
                f"workers cannot repeat a step; set micro_batch={max(1, now // 2)} in the recipe."
            )
        if now == 1:
            raise TrainingError(
                "The memory does not suffice for the gradients of a single image. Use a smaller "
                "space or resolution, recompute_activations=true in the recipe, or a device with "
                "more memory."
            )
        self.images = now // 2
        return (
            f"out of memory with {now} images at once; the step is repeated with {self.images} "
            f"at a time, as with micro_batch={self.images} in the recipe"
        )


def run_in_parts(run: Run, images: Tensor, parts: list[slice]) -> list[Tensor]:
    """What a child computes from the images of all parts.

    Args:
        run: Runs the child.
        images: (B, C, R, R).
        parts: Rows that make up the images.

    Returns:
        Each output of `run`, its parts joined: (B, ...).
    """
    if len(parts) == 1:
        return run(images)

    def run_part(part: Tensor, rows: slice) -> list[Tensor]:
        with DrawsOfWhole(rows, len(images)):
            return run(part)

    found = []
    for number, rows in enumerate(parts):
        # All parts draw from the same place in the stream of random numbers, as the whole would.
        last = number == len(parts) - 1
        with nullcontext() if last else _rewound_after(images.device):
            found.append(checkpoint(run_part, images[rows], rows, use_reentrant=False))
    return [torch.cat(each) for each in zip(*found, strict=True)]


def _rewound_after(device: torch.device) -> AbstractContextManager[None]:
    """Put the random numbers back to where they are now, after the block."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
