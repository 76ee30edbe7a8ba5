"""An architecture as a plain network, which runs without the supernet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.parts import parts_of


class Network(nn.Module):
    """The parts of an architecture, run one after the other.

    Maps are in channels-last memory. Each part is a submodule of its own name, so parameters have
    names such as `stages.0.blocks.1.mixer.body.q.weight`.
    """

    def __init__(self, architecture: Architecture, data_shape: DataShape) -> None:
        super().__init__()
        self.architecture = architecture
        self.data_shape = data_shape
        parts = parts_of(architecture, data_shape)
        self.part_names = tuple(parts)
        for name, part in parts.items():
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
        x = x.contiguous(memory_format=torch.channels_last)
        for name, slope in zip(self.part_names, self.rates, strict=True):
            x = self.get_submodule(name)(x, slope * drop_path_rate)
        return x


def build_network(architecture: Architecture, data_shape: DataShape = DataShape()) -> Network:
    """A freshly initialised network for images with that many channels and classes."""
    return Network(architecture, data_shape)


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
