"""An architecture as a plain network, which runs without the supernet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.parts import parts_of, side_by_side, weights_of

RunPart = Callable[[str, Tensor, Tensor], Tensor]
"""From a part's name, the map it adds to and the map it reads, to its output."""
Wrap = Callable[[RunPart], RunPart]
"""Changes how parts are run, such as to save memory."""


def unwrapped(run: RunPart) -> RunPart:
    """Parts are run as they are."""
    return run


class Network(nn.Module):
    """The parts of an architecture, run one after the other.

    Maps are in channels-last memory. Each part is a submodule of its own name, so parameters have
    names such as `stages.0.blocks.1.mixer.body.q.weight`. A block that runs several times is one
    submodule.
    """

    def __init__(self, architecture: Architecture, data_shape: DataShape) -> None:
        super().__init__()
        self.architecture = architecture
        self.data_shape = data_shape
        parts = parts_of(architecture, data_shape)
        self.part_names = tuple(parts)
        self.owners = {name: weights_of(name, part) for name, part in parts.items()}
        self.beside = side_by_side(architecture)
        for name, part in parts.items():
            if not part.again:
                plant(self, name, part.build())
        self.rates = drop_path_slopes(self.part_names)

    def forward(self, x: Tensor, drop_path_rate: float = 0.0) -> Tensor:
        """Class scores.

        Args:
            x: Images, (B, C, R, R).
            drop_path_rate: Stochastic depth of the last block; earlier ones have less, linearly.

        Returns:
            Scores, (B, classes).
        """
        return last_of(self.maps(x, self.part_names, drop_path_rate))

    def maps(
        self,
        x: Tensor,
        names: Iterable[str],
        drop_path_rate: float = 0.0,
        wrap: Wrap = unwrapped,
    ) -> Iterator[tuple[str, Tensor]]:
        """The name and the output of each part of that name; arguments as in `forward`."""
        slopes = dict(zip(self.part_names, self.rates, strict=True))

        def run(name: str, x: Tensor, read: Tensor) -> Tensor:
            part = self.get_submodule(self.owners[name])
            y: Tensor = part(x, slopes[name] * drop_path_rate, read)
            return y

        return run_parts(x, names, self.beside, wrap(run))


def build_network(architecture: Architecture, data_shape: DataShape = DataShape()) -> Network:
    """A freshly initialised network for images with that many channels and classes."""
    return Network(architecture, data_shape)


def run_parts(
    x: Tensor,
    names: Iterable[str],
    beside: Container[str],
    run: RunPart,
) -> Iterator[tuple[str, Tensor]]:
    """Run parts one after the other; yields the name and the output of each.

    Args:
        x: The first part's input, which is brought into channels-last memory.
        names: The parts in their order.
        beside: Names of the parts that read what the part before them reads.
        run: Runs a part.
    """
    read = x = x.contiguous(memory_format=torch.channels_last)
    for name in names:
        read = read if name in beside else x
        x = run(name, x, read)
        yield name, x


def last_of(maps: Iterable[tuple[str, Tensor]]) -> Tensor:
    """The output of the last part; those before it are not kept in memory."""
    _, y = deque(maps, maxlen=1).pop()
    return y


def drop_path_slopes(names: tuple[str, ...]) -> list[float]:
    """The share of the drop path rate each part gets: 0 in the first block, 1 in the last."""
    blocks = sorted({name.rpartition(".")[0] for name in names if ".blocks." in name}, key=_order)
    last = max(1, len(blocks) - 1)
    slope = {block: i / last for i, block in enumerate(blocks)}
    return [slope.get(name.rpartition(".")[0], 0.0) for name in names]


def plant(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module at a dotted name below `root`, making the modules between."""
    path, _, leaf = name.rpartition(".")
    _grow(root, path).add_module(leaf, module)


def plant_parameter(root: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Put a parameter at a dotted name below `root`, making the modules between."""
    path, _, leaf = name.rpartition(".")
    _grow(root, path).register_parameter(leaf, parameter)


def _grow(root: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path, made of empty modules where there is none yet."""
    for step in path.split(".") if path else ():
        if step not in root._modules:
            root.add_module(step, nn.Module())
        root = root.get_submodule(step)
    return root


def _order(name: str) -> list[int]:
    return [int(step) for step in name.split(".") if step.isdigit()]
