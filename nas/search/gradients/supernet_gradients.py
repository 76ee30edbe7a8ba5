"""Losses and gradients of a supernet's children on training images.

A child's gradients tell, to first order, how *every* other choice of *every* gene would change its
loss. That costs one backward pass, and one forward pass of each part that could stand elsewhere:

    L   loss of a child on one batch          y_s  output of the part in slot s, x_s its input

    dL = sum_s <dL/dy_s, f'_s(x_s) - y_s>                the parts f_s replaced by f'_s     (1)

(1) is the gradient of a mixture of the two parts with respect to its weight, at the end where all
weight is on f_s. An empty slot counts as y_s = x_s. Choices that only drop weights have a less
expensive estimate, see `taylor.py`. The shared weights never change.

Paper: MPCViT, Zeng et al. 2023, https://arxiv.org/abs/2211.13955 (mixtures of mixers per layer)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.environment import torch_threads
from nas.search.gradients.taylor import TaylorTerms
from nas.search.protocol import Codes, Floats, GeneTable
from search_spaces.architecture import Architecture
from search_spaces.network import run_parts
from search_spaces.parts import Part, parts_of, side_by_side
from search_spaces.space import SearchSpace
from supernet.batches import Batch
from supernet.supernet import Supernet

BATCH_SIZE = 64
EXACT = 2
"""Number of genes per step whose choices change shapes and are therefore run."""

Batches = Callable[[int, int, int], Batch]
"""(step, batch size, resolution) to training images: equal steps give equal images."""


@dataclass(frozen=True)
class _Slot:
    """A slot of a child that was run: its part, input and output, and the output's gradient.

    `read` is the input, except for a branch that stands beside another one.
    """

    part: Part | None
    x: Tensor
    read: Tensor
    y: Tensor
    gradient: Tensor


class SupernetGradients:
    """Losses and gradients of children, on one training batch per step number.

    Results depend on the arguments alone: nothing is drawn at random, no gradient is kept, and
    torch runs on one thread, because float sums depend on the number of threads.

    Args:
        space: The space to search; it may be a part of the supernet's space.
        supernet: The shared weights.
        batches: Training images, never the images that children are evaluated on.
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
        self._index = space.part_index(supernet.data_shape)
        self._device = next(supernet.parameters()).device

    def loss(self, architecture: Architecture, step: int) -> Tensor:
        """Cross entropy of a child on the images of a step: a scalar, with its autograd graph."""
        images, targets = self._images(step, architecture.resolution)
        return F.cross_entropy(self.supernet(images, architecture), targets)

    def losses(self, codes: Codes, step: int) -> Floats:
        """Cross entropies of codes (n, genes), without autograd graphs: (n,)."""
        with torch_threads(1), torch.no_grad():
            values = [float(self.loss(self.space.decode(code), step)) for code in codes]
        return np.array(values)

    def slopes(self, code: Codes, step: int) -> GeneTable:
        """How the loss would change with each other choice of each gene, by equation (1).

        Args:
            code: The child, (genes,).
            step: Which images.

        Returns:
            0 for the child's own choices; NaN for inactive genes and for choices that change the
            shape of a feature map (a width, a resolution, a stride).
        """
        with torch_threads(1):
            slots = self._run(code, step)
            with torch.no_grad():
                return [self._slopes_of(code, gene, slots) for gene in range(len(code))]

    def changes(self, code: Codes, step: int, exact: int = EXACT) -> GeneTable:
        """`slopes`, but `differences` for `exact` of the genes with NaN, others at each step."""
        rows = self.slopes(code, step)
        active = self.space.active(code[None])[0]
        unknown = [g for g in np.flatnonzero(active) if np.isnan(rows[g]).any()]
        for turn in range(min(exact, len(unknown))):
            gene = int(unknown[(step * exact + turn) % len(unknown)])
            rows[gene] = self.differences(code, gene, step)
        return rows

    def taylor(self, code: Codes, step: int) -> GeneTable:
        """How the loss would change if the weights that a smaller choice drops were zero.

        Args:
            code: The child, (genes,).
            step: Which images.

        Returns:
            0 for the child's own choices; NaN for choices that drop no weights, or use others.
        """
        architecture = self.space.decode(code)
        cuts = self.supernet.weights_of(architecture)
        weights = {name: self.supernet.get_parameter(name) for name in cuts}
        with torch_threads(1):
            loss = self.loss(architecture, step)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            with torch.no_grad():
                terms = TaylorTerms(cuts, weights, dict(zip(weights, gradients, strict=True)))

                def change(other: Codes) -> float:
                    return terms.change(self.supernet.weights_of(self.space.decode(other)))

                return [self._row_of(code, gene, change) for gene in range(len(code))]

    def differences(self, code: Codes, gene: int, step: int) -> Floats:
        """The exact change of the loss with each other choice of one gene: (cardinality,)."""
        own = self.losses(code[None], step)[0]
        return self._row_of(code, gene, lambda other: self.losses(other[None], step)[0] - own)

    def _images(self, step: int, resolution: int) -> tuple[Tensor, Tensor]:
        batch = self._batches(step, self._batch_size, resolution)
        return batch.images.to(self._device), batch.targets.to(self._device)

    def _part(self, code: Codes, slot: int) -> Part | None:
        """The part that an architecture has in a slot; None if the slot is empty."""
        place = self._index.slots[slot]
        return self._index.parts[int(place.index[tuple(code[list(place.genes)])])]

    def _run(self, code: Codes, step: int) -> list[_Slot]:
        """Run a child, keeping the input, output and gradient of every slot."""
        architecture = self.space.decode(code)
        images, targets = self._images(step, architecture.resolution)
        wanted = parts_of(architecture, self.supernet.data_shape)
        ran: dict[str, tuple[Tensor, Tensor]] = {}

        def run(name: str, x: Tensor, read: Tensor) -> Tensor:
            ran[name] = x, read
            return self.supernet.run_part(name, wanted[name], x, read=read)

        maps = dict(run_parts(images, wanted, side_by_side(architecture), run))
        loss = F.cross_entropy(maps[next(reversed(maps))], targets)
        gradients = dict(zip(maps, torch.autograd.grad(loss, list(maps.values())), strict=True))
        slots: list[_Slot] = []
        for place in self._index.slots:
            if place.name in ran:
                x, read = (each.detach() for each in ran[place.name])
                y, part = maps[place.name].detach(), wanted[place.name]
                slots.append(_Slot(part, x, read, y, gradients[place.name]))
            else:  # an empty slot gives the map that the slot before it gives
                before = slots[-1]
                slots.append(_Slot(None, before.y, before.y, before.y, before.gradient))
        return slots

    def _slopes_of(self, code: Codes, gene: int, slots: list[_Slot]) -> Floats:
        """Equation (1) for every choice of one gene."""
        places = [i for i, slot in enumerate(self._index.slots) if gene in slot.genes]
        layouts = self._layouts(code)

        def slope(other: Codes) -> float:
            if self._layouts(other) != layouts:
                return float("nan")
            changed = [(i, self._part(other, i)) for i in places]
            return sum(self._swapped(i, q, slots[i]) for i, q in changed if q != slots[i].part)

        return self._row_of(code, gene, slope)

    def _layouts(self, code: Codes) -> list[str]:
        """The order in which each stage runs its parts."""
        return [stage.layout for stage in self.space.decode(code).stages]

    def _swapped(self, index: int, part: Part | None, slot: _Slot) -> float:
        """<dL/dy, f'(x) - y> of one slot; NaN if f' takes or gives a map of another shape."""
        y = slot.x
        if part is not None:
            if slot.x.shape[1:] != part.input_shape(1)[1:]:
                return float("nan")
            name = self._index.slots[index].name
            y = self.supernet.run_part(name, part, slot.x, read=slot.read)
        if y.shape != slot.y.shape:
            return float("nan")
        return float((slot.gradient * (y - slot.y)).sum())

    def _row_of(self, code: Codes, gene: int, change: Callable[[Codes], float]) -> Floats:
        """`change` of each choice of a gene; 0 for the child's own choice."""
        row = np.full(self.space.genes[gene].cardinality, np.nan)
        if not self.space.active(code[None])[0, gene]:
            return row
        others = np.repeat(code[None], len(row), axis=0)
        others[:, gene] = np.arange(len(row))
        for choice, other in enumerate(self.space.canonical(others)):
            row[choice] = 0.0 if choice == code[gene] else change(other)
        return row
