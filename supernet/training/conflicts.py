"""Whether the children of a step pull the shared weights in different directions.

    cosine_i = <g_1, g_i> / (|g_1| |g_i|)        g_i: gradient of the i-th child's loss

A projection takes from a gradient what points against another one, in each weight w by itself:

    children    g_i <- g_i - min(0, <g_i, g_1>) / |g_1|^2 g_1         for each child but the first
    teacher     g_1 <- g_1 - min(0, <g_1, s>) / |s|^2 s               s: sum of the others

The first child is the teacher where there is one; nothing is compared in a step in which it rests.
Papers: for `children` PCGrad, Yu et al. 2020, https://arxiv.org/abs/2001.06782 (Algorithm 1),
against the teacher alone; for `teacher` NASViT, Gong et al. 2022,
https://openreview.net/forum?id=Qaw16njk6L, as in its program.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from supernet.training.parallel.workers import Workers
from supernet.training.recipe import Projected

Gradients = dict[nn.Parameter, Tensor]


class Conflicts:
    """Compares the gradients of one step's children.

    The supervision yields a loss for each child in their order, once or several times. Where it
    joins all children in one loss, there is nothing to compare.

    Args:
        weights: Those of the network.
        children: How many there are.
        projected: What is changed; None to compare alone.
        workers: The processes that share the step.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        children: int,
        projected: Projected | None,
        workers: Workers,
    ) -> None:
        self._weights, self._children = list(weights), children
        self._projected, self._workers = projected, workers
        self._losses = 0
        self._first: Gradients = {}
        self._whole_first: Gradients = {}
        self._others: Gradients = {}
        self._cosines: dict[int, Tensor] = {}

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the next loss, and add them to those so far."""
        child, self._losses = self._losses % self._children, self._losses + 1
        before = self._taken()
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        own = self._taken()
        whole = self._whole(own)
        if child == 0:
            self._first, self._whole_first, self._others = own, whole, {}
        else:
            if self._whole_first:
                self._cosines[child] = _cosine(self._whole_first, whole)
            if self._projected == "children":
                own = _sum(own, _correction(self._first, self._whole_first, whole))
            self._others = _sum(self._others, own)
        total = _sum(before, own)
        if self._projected == "teacher" and child == self._children - 1:
            against = self._whole(self._others)
            total = _sum(total, _correction(self._others, against, self._whole_first))
        for weight, gradient in total.items():
            weight.grad = gradient

    def cosines(self) -> dict[str, float]:
        """Of each child's gradient with the first one's: `cosine_2` is that of the second."""
        return {f"cosine_{child + 1}": float(each) for child, each in self._cosines.items()}

    def _taken(self) -> Gradients:
        """The gradients that there are; the weights have none afterwards."""
        taken = {weight: weight.grad for weight in self._weights if weight.grad is not None}
        for weight in taken:
            weight.grad = None
        return taken

    def _whole(self, own: Gradients) -> Gradients:
        """Gradients over the images of all workers that run the child together."""
        return dict(zip(own, self._workers.summed(list(own.values())), strict=True))


def _sum(one: Gradients, other: Gradients) -> Gradients:
    """New tensors where both have one, so that neither changes."""
    both = {weight: one[weight] + gradient for weight, gradient in other.items() if weight in one}
    return {**one, **other, **both}


def _cosine(one: Gradients, other: Gradients) -> Tensor:
    """Over all weights; one that a child does not use counts as zero."""
    nothing = next(iter(one.values())).new_zeros(())
    dot = sum(((one[w] * other[w]).sum() for w in one if w in other), nothing)
    lengths = [torch.stack([g.norm() for g in each.values()]).norm() for each in (one, other)]
    cosine: Tensor = dot / (lengths[0] * lengths[1]).clamp(min=torch.finfo(dot.dtype).tiny)
    return cosine


def _correction(part: Gradients, whole: Gradients, other: Gradients) -> Gradients:
    """What `other` needs to lose what points against a gradient: multiples of that gradient.

    Args:
        part: The gradient over this worker's images.
        whole: The gradient over all images.
        other: What is corrected, over all images.
    """
    found = {}
    for weight, gradient in whole.items():
        if weight in other:
            dot = (gradient * other[weight]).sum().clamp(max=0)
            square = gradient.square().sum().clamp(min=torch.finfo(gradient.dtype).tiny)
            found[weight] = part[weight] * (-dot / square)
    return found
