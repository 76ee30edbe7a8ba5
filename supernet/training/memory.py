"""Steps that do not fit in memory: images in parts, and activations that are computed again.

micro_batch              scores    = join(child(part) for each part of the images)
                         gradients = sum of d loss / d scores * d child(part) / d weights
recompute_activations    of each part of a network only the input is kept

A loss is computed from the scores of all images, whatever it is made of. What a layer computed on
the way is dropped, and computed again when its gradients are due: with `micro_batch` for one part
of one child's images at a time, however many children a loss joins; with `recompute_activations`
for one part of a network at a time. Each of the two adds a forward pass to each child's run.

Losses and gradients are those of the whole batch, stochastic depth included: with
`recompute_activations` to the bit, with `micro_batch` up to rounding. The exception is batch norm,
which sees the statistics of each part of the images alone.
Paper: Chen et al. 2016, https://arxiv.org/abs/1604.06174 (Section 3)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from search_spaces.errors import TrainingError
from search_spaces.network import RunPart, Wrap, unwrapped
from supernet.training.parallel.workers import Workers, rows_of
from supernet.training.recipe import Recipe

Run = Callable[[Tensor, slice], list[Tensor]]
"""Runs a child on some images, which have these rows in the batch; its outputs."""


class MemoryPlan:
    """How much of a step is in memory at once.

    Args:
        recipe: What is asked for.
        workers: The processes that share the training.
    """

    def __init__(self, recipe: Recipe, workers: Workers) -> None:
        self.images = recipe.micro_batch
        """That a child runs on at once in each worker; None for all."""
        self._recompute, self._batch_size = recipe.recompute_activations, recipe.batch_size
        self._workers = workers

    def wrap(self, around: Callable[[], AbstractContextManager[Any]]) -> Wrap:
        """What the parts of a network are run through.

        Args:
            around: Makes the context in which the network runs.
        """
        return _recomputed(around) if self._recompute else unwrapped

    def parts(self, images: int) -> list[slice]:
        """The rows of each part of a child's images.

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
        """Take half as many images after a step ran out of memory; says so in a sentence.

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
        return run(images, parts[0])
    found = []
    for number, rows in enumerate(parts):
        # All parts draw from the same place in the stream of random numbers, as the whole would.
        last = number == len(parts) - 1
        with nullcontext() if last else _rewound_after(images.device):
            found.append(checkpoint(run, images[rows], rows, use_reentrant=False))
    return [torch.cat(each) for each in zip(*found, strict=True)]


def _rewound_after(device: torch.device) -> AbstractContextManager[None]:
    """Put the random numbers back to where they are now, after the block."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _recomputed(around: Callable[[], AbstractContextManager[Any]]) -> Wrap:
    """Keep a part's input alone, and run it again for the gradients in the same context."""

    def wrap(run: RunPart) -> RunPart:
        def rerun(name: str, x: Tensor, read: Tensor) -> Tensor:
            y: Tensor = checkpoint(
                run,
                name,
                x,
                read,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), around()),
            )
            return y

        return rerun

    return wrap
