"""Several children evaluated as a tree: what they begin with in common is run once.

    stem --- block 1 -+- block 2 --- head       child 1
                      +- block 2' -- head       child 2

A node is a part together with all parts before it. Batch-norm statistics depend on nothing else,
so each node has one module with one set of them, and scores are exactly those of each child on its
own. One batch after the other goes through the tree, so that memory holds the maps of one batch
and the weights of all nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from search_spaces.architecture import Architecture
from search_spaces.parts import Part, parts_of, side_by_side, weights_of
from supernet.calibration import calibrate
from supernet.evaluation import Batches, Tally
from supernet.scores import Evaluation
from supernet.supernet import Supernet


def evaluate_children(
    supernet: Supernet,
    architectures: Sequence[Architecture],
    batches: Callable[[int], Batches],
    calibration: Callable[[int], Iterable[Tensor]],
) -> list[Evaluation]:
    """Evaluate children on the shared weights.

    Args:
        supernet: Holds the weights.
        architectures: The children, in any order.
        batches: Labelled images at a resolution.
        calibration: Training images at a resolution, for batch-norm statistics; none is drawn
            for children without batch norm.
    """
    device = next(supernet.parameters()).device
    tallies = [Tally() for _ in architectures]
    for side in dict.fromkeys(each.resolution for each in architectures):
        own = {i: each for i, each in enumerate(architectures) if each.resolution == side}
        tree = ChildrenTree(supernet, own)
        calibrate(tree, (x.to(device) for x in calibration(side)))
        with torch.inference_mode():
            for images, classes in batches(side):
                for child, scores in tree(images.to(device)).items():
                    tallies[child].add(scores, classes)
    return [tally.evaluation() for tally in tallies]


class ChildrenTree(nn.Module):
    """The tree of some children of one resolution, with copies of their weights.

    Args:
        supernet: Holds the weights.
        children: Architectures by number.
    """

    def __init__(self, supernet: Supernet, children: Mapping[int, Architecture]) -> None:
        super().__init__()
        self._nodes: dict[tuple[object, ...], _Node] = {}
        self.first = nn.ModuleList()
        for number, architecture in children.items():
            self._add(supernet, number, architecture)
        for node in self._nodes.values():
            node.has_norms = any(isinstance(module, _BatchNorm) for module in node.modules())

    @property
    def nodes(self) -> int:
        """How many parts are run for a batch."""
        return len(self._nodes)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """The scores (B, classes) of each child by its number, for images (B, C, R, R).

        In training mode, what comes after the last batch norm is not run.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        return dict(_run_all(self.first, x, x))

    def _add(self, supernet: Supernet, number: int, architecture: Architecture) -> None:
        """Add what the tree has not."""
        parts = parts_of(architecture, supernet.data_shape)
        beside, keys = side_by_side(architecture), _keys(parts)
        modules: dict[str, nn.Module] = {}
        path: tuple[object, ...] = ()
        siblings = self.first
        for name, part in parts.items():
            path, owner = (*path, keys[name], name in beside), weights_of(name, part)
            if path not in self._nodes:
                module = modules[owner] if part.again else supernet.extract_part(name, part)
                self._nodes[path] = _Node(module, name in beside)
                siblings.append(self._nodes[path])
            node = self._nodes[path]
            modules[owner], siblings = node.part, node.following
        node.children_here.append(number)


class _Node(nn.Module):
    """A part, and the nodes of the parts that follow it."""

    def __init__(self, part: nn.Module, beside: bool) -> None:
        super().__init__()
        self.part, self.beside = part, beside
        self.following = nn.ModuleList()
        self.children_here: list[int] = []
        """The children that end with this part."""
        self.has_norms = True
        """Whether it or one that follows has batch norms."""

    def forward(self, x: Tensor, read: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Run the part and all that follow.

        Args:
            x: The map that the part adds to.
            read: The map that the part before it read.
        """
        read = read if self.beside else x
        y = self.part(x, 0.0, read)
        for child in self.children_here:
            yield child, y
        yield from _run_all(self.following, y, read)


def _run_all(nodes: nn.ModuleList, x: Tensor, read: Tensor) -> Iterator[tuple[int, Tensor]]:
    for node in nodes:
        if node.has_norms or not node.training:
            yield from node(x, read)


def _keys(parts: Mapping[str, Part]) -> dict[str, object]:
    """What two children must have in common at each part, besides the parts before it.

    Statistics in a stage whose blocks run several times depend on all of its runs.
    """
    stages: dict[str, list[tuple[str, Part]]] = {}
    for name, part in parts.items():
        stages.setdefault(_stage(name), []).append((name, part))
    again = {_stage(name) for name, part in parts.items() if part.again}
    return {
        name: (name, part, *(stages[stage] if (stage := _stage(name)) in again else ()))
        for name, part in parts.items()
    }


def _stage(name: str) -> str:
    """`stages.1` of `stages.1.blocks.0.mixer`."""
    return ".".join(name.split(".")[:2])
