"""What searchers can learn from the supernet itself: losses and gradients on training images.

A child's gradients say, to first order, what *every* other choice of *every* gene would do to its
loss, for the price of one backward pass and one forward pass of each other part:

    L   loss of a child on one batch          y_s  output of the part in slot s, x_s its input
    w   a shared weight, S the entries of the child's weights that a smaller choice does not use

    slope      dL = sum_s <dL/dy_s, f'_s(x_s) - y_s>     the parts f_s replaced by f'_s     (1)
    taylor     dL = -sum_{w in S} w dL/dw                the entries in S set to zero       (2)

(1) is the gradient of a mixture of the two parts with respect to its weight, where all of it is
on f_s; a slot that is empty counts as y_s = x_s. (2) needs no other part to be run, but it says
nothing of choices that have weights of their own. The shared weights never change.

Papers: MPCViT, Zeng et al. 2023, https://arxiv.org/abs/2211.13955 (mixtures of mixers per layer);
        NViT, Yang et al. 2023, https://arxiv.org/abs/2110.04869 (Section 3.2, Taylor saliency)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.environment import torch_threads
from nas.search.gradients.gene_tables import Rows
from nas.search.protocol import Codes, Floats
from search_spaces.architecture import Architecture
from search_spaces.parts import Part
from search_spaces.slicing import Cut
from search_spaces.space import SearchSpace
from supernet.batches import Batch
from supernet.slicing import view
from supernet.supernet import Supernet

BATCH_SIZE = 64
EXACT = 2
"""Genes per step whose choices change shapes and are therefore tried."""

Batches = Callable[[int, int, int], Batch]
"""(step, batch size, resolution) to training images: equal steps give equal images."""


@dataclass(frozen=True)
class _Slot:
    """A place that a child has run through: what stands there and what went in and out."""

    part: Part | None
    x: Tensor
    y: Tensor
    gradient: Tensor


class Lessons:
    """Losses and gradients of children on training batches, by step number.

    Results depend on the arguments alone: torch runs one thread meanwhile (sums of floats depend
    on how many there are), nothing is drawn, and no gradient is kept.

    Args:
        space: What is searched; it may be a part of the supernet's space.
        supernet: The shared weights.
        batches: Training images, never those that children are judged on.
        batch_size: Images of one step.
    """

    def __init__(
        self,
        space: SearchSpace,
        supernet: Supernet,
        batches: Batches,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.space, self.supernet = space, supernet
        self._batches, self._batch_size = batches, batch_size
        self._index = space.part_index(supernet.in_channels, supernet.num_classes)
        self._device = next(supernet.parameters()).device

    def loss(self, architecture: Architecture, step: int) -> Tensor:
        """Cross entropy of a child on the images of a step: a scalar with its graph."""
        images, targets = self._images(step, architecture.resolution)
        return F.cross_entropy(self.supernet(images, architecture), targets)

    def losses(self, codes: Codes, step: int) -> Floats:
        """The same for codes (n, genes), without graphs: (n,)."""
        with torch_threads(1), torch.no_grad():
            values = [float(self.loss(self.space.decode(code), step)) for code in codes]
        return np.array(values)

    def slopes(self, code: Codes, step: int) -> Rows:
        """How the loss would change with each other choice of each gene, by (1).

        Args:
            code: The child, (genes,).
            step: Which images.

        Returns:
            0 for the child's own choices. NaN for choices that change the shape of a map (a width,
            a resolution, a stride) and for inactive genes.
        """
        with torch_threads(1):
            slots = self._run(code, step)
            with torch.no_grad():
                return [self._slopes_of(code, gene, slots) for gene in range(len(code))]

    def changes(self, code: Codes, step: int, exact: int = EXACT) -> Rows:
        """`slopes`, with `differences` in place of NaN for `exact` genes, other ones each step."""
        rows = self.slopes(code, step)
        active = self.space.active(code[None])[0]
        unknown = [g for g in np.flatnonzero(active) if np.isnan(rows[g]).any()]
        for turn in range(min(exact, len(unknown))):
            gene = int(unknown[(step * exact + turn) % len(unknown)])
            rows[gene] = self.differences(code, gene, step)
        return rows

    def taylor(self, code: Codes, step: int) -> Rows:
        """How the loss would change with each smaller choice of each gene, by (2).

        Args:
            code: The child, (genes,).
            step: Which images.

        Returns:
            0 for the child's own choices. NaN for choices that drop no weights, or use others.
        """
        architecture = self.space.decode(code)
        cuts = self.supernet.weights_of(architecture)
        weights = {name: self.supernet.get_parameter(name) for name in cuts}
        with torch_threads(1):
            loss = self.loss(architecture, step)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            with torch.no_grad():
                shares = {
                    name: w * g for (name, w), g in zip(weights.items(), gradients, strict=True)
                }
                totals = {name: float(share.sum()) for name, share in shares.items()}

                def lost(other: Codes) -> float:
                    """-sum of w dL/dw over what `other` does not use; NaN if it uses more."""
                    kept = self.supernet.weights_of(self.space.decode(other))
                    smaller = cuts.keys() >= kept.keys() and all(
                        _within(kept[n], cuts[n], weights[n]) for n in kept
                    )
                    if not smaller or kept == cuts:
                        return float("nan")
                    changed = [n for n in cuts if kept.get(n) != cuts[n]]
                    left = [float(view(shares[n], kept[n]).sum()) for n in changed if n in kept]
                    return sum(left) - sum(totals[n] for n in changed)

                return [self._rows_of(code, gene, lost) for gene in range(len(code))]

    def differences(self, code: Codes, gene: int, step: int) -> Floats:
        """How the loss does change with each other choice of one gene: (cardinality,), exact."""
        own = self.losses(code[None], step)[0]
        return self._rows_of(code, gene, lambda other: self.losses(other[None], step)[0] - own)

    # Private

    def _images(self, step: int, resolution: int) -> tuple[Tensor, Tensor]:
        batch = self._batches(step, self._batch_size, resolution)
        return batch.images.to(self._device), batch.targets.to(self._device)

    def _part(self, code: Codes, slot: int) -> Part | None:
        """What an architecture has in a slot."""
        place = self._index.slots[slot]
        return self._index.parts[int(place.index[tuple(code[list(place.genes)])])]

    def _run(self, code: Codes, step: int) -> list[_Slot]:
        """Run a child; what goes into and out of every slot, and the outputs' gradients."""
        images, targets = self._images(step, self.space.decode(code).resolution)
        x = images.contiguous(memory_format=torch.channels_last)
        parts = [self._part(code, slot) for slot in range(len(self._index.slots))]
        maps = [x]
        for slot, part in zip(self._index.slots, parts, strict=True):
            if part is not None:
                x = self.supernet.run_part(slot.name, part, x)
            maps.append(x)
        loss = F.cross_entropy(x, targets)
        gradients = torch.autograd.grad(loss, maps[1:])
        return [
            _Slot(part, x.detach(), y.detach(), gradient)
            for part, x, y, gradient in zip(parts, maps, maps[1:], gradients, strict=False)
        ]

    def _slopes_of(self, code: Codes, gene: int, slots: list[_Slot]) -> Floats:
        """Equation (1) for every choice of one gene."""
        places = [i for i, slot in enumerate(self._index.slots) if gene in slot.genes]

        def slope(other: Codes) -> float:
            changed = [(i, self._part(other, i)) for i in places]
            return sum(self._swapped(i, q, slots[i]) for i, q in changed if q != slots[i].part)

        return self._rows_of(code, gene, slope)

    def _swapped(self, index: int, part: Part | None, slot: _Slot) -> float:
        """<dL/dy, f'(x) - y> of one slot; NaN where f' takes or gives a map of another shape."""
        y = slot.x
        if part is not None:
            if slot.x.shape[1:] != part.input_shape(1)[1:]:
                return float("nan")
            y = self.supernet.run_part(self._index.slots[index].name, part, slot.x)
        if y.shape != slot.y.shape:
            return float("nan")
        return float((slot.gradient * (y - slot.y)).sum())

    def _rows_of(self, code: Codes, gene: int, change: Callable[[Codes], float]) -> Floats:
        """`change` of each choice of a gene but the own one, which gives 0."""
        row = np.full(self.space.genes[gene].cardinality, np.nan)
        if not self.space.active(code[None])[0, gene]:
            return row
        others = np.repeat(code[None], len(row), axis=0)
        others[:, gene] = np.arange(len(row))
        for choice, other in enumerate(self.space.canonical(others)):
            row[choice] = 0.0 if choice == code[gene] else change(other)
        return row


def _within(smaller: Cut, larger: Cut, weight: Tensor) -> bool:
    """Whether a cut of a weight lies within another one."""
    inner = {dim: (start, start + length) for dim, start, length in smaller}
    return all(
        dim in inner and start <= inner[dim][0] and inner[dim][1] <= start + length
        for dim, start, length in larger
    )
