"""The supernet: one set of weights that holds every architecture of a space.

Each slot of the space's networks keeps, per family, the weights of its plain module at the
largest of all its options. Running an architecture runs the plain modules on views of them:

    supernet(x, architecture) = network(x) with every weight replaced by its view

so a child and its extracted subnet cannot differ, and no child has to be activated first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.network import (
    Network,
    Wrap,
    build_network,
    drop_path_slopes,
    last_of,
    plant_parameter,
    run_parts,
    unwrapped,
)
from search_spaces.parts import Part, parts_of, side_by_side, weights_of
from search_spaces.progressive_norm import Progressive, progressive, set_layer_share
from search_spaces.slicing import Cut
from search_spaces.space import SearchSpace
from supernet.calibration import calibrate
from supernet.initial import shared_weights
from supernet.randomness import Stream, seeded
from supernet.slicing import view

Statistics = Mapping[str, Tensor]
"""Batch-norm statistics of one child by the names of its subnet's buffers; empty without any."""


@dataclass(frozen=True)
class _Plan:
    """A part's module without weights, and the source of each weight."""

    skeleton: nn.Module
    weights: tuple[tuple[str, str, Cut], ...]
    buffers: tuple[str, ...]
    progressive: tuple[Progressive, ...]
    """The skeleton's norms that change in the course of a training."""


class Supernet(nn.Module):
    """Shared weights of all architectures of a space.

    Args:
        space: The space of its architectures.
        data_shape: Channels of the images and number of classes.
        seed: Of the initial weights.
    """

    def __init__(
        self, space: SearchSpace, data_shape: DataShape = DataShape(), seed: int = 0
    ) -> None:
        super().__init__()
        self.space = space
        self.data_shape = data_shape
        with seeded(seed, Stream.SHARED_WEIGHTS):
            for name, parameter in shared_weights(space, data_shape).items():
                plant_parameter(self, name, parameter)
        self._shared = dict(self.named_parameters())
        self.layer_share = 0.0  # of progressive norms; above 0 only while they are trained
        self._plans: dict[tuple[str, Part, torch.device, torch.dtype], _Plan] = {}

    def forward(
        self,
        x: Tensor,
        architecture: Architecture,
        statistics: Statistics | None = None,
        drop_path_rate: float = 0.0,
    ) -> Tensor:
        """Class scores of one child.

        Args:
            x: Images, (B, C, R, R).
            architecture: The child; it must belong to the space.
            statistics: Its batch-norm statistics from `calibrate`; without them batch norms use
                the batch's own.
            drop_path_rate: Stochastic depth of the last block; earlier ones have less, linearly.

        Returns:
            Scores, (B, classes).
        """
        return last_of(self.maps(x, architecture, statistics, drop_path_rate))

    def maps(
        self,
        x: Tensor,
        architecture: Architecture,
        statistics: Statistics | None = None,
        drop_path_rate: float = 0.0,
        wrap: Wrap = unwrapped,
    ) -> Iterator[tuple[str, Tensor]]:
        """The name and the output of each part of a child, in order; the last is the scores."""
        parts = self._parts(architecture)
        slopes = dict(zip(parts, drop_path_slopes(tuple(parts)), strict=True))

        def run(name: str, x: Tensor, read: Tensor) -> Tensor:
            rate = slopes[name] * drop_path_rate
            return self.run_part(name, parts[name], x, statistics, rate, read)

        return run_parts(x, parts, side_by_side(architecture), wrap(run))

    def run_part(
        self,
        name: str,
        part: Part,
        x: Tensor,
        statistics: Statistics | None = None,
        drop_path_rate: float = 0.0,
        read: Tensor | None = None,
    ) -> Tensor:
        """One part of a child, as `parts_of` names it, on its input map in channels-last memory.

        Args:
            name: The part's slot.
            part: The part in this slot.
            x: Its input, `part.input_shape`.
            statistics: As in `forward`.
            drop_path_rate: Stochastic depth of this part.
            read: The map that the part reads, if it is not the one that it adds to.
        """
        name = weights_of(name, part)
        plan = self._plan(name, part)
        tensors = {own: view(self._shared[full], steps) for own, full, steps in plan.weights}
        if statistics:
            tensors |= {own: statistics[f"{name}.{own}"] for own in plan.buffers}
        if plan.buffers:
            if plan.skeleton.training == bool(statistics):
                plan.skeleton.train(not statistics)
            for norm in plan.progressive:
                norm.layer_share = self.layer_share
        y: Tensor = functional_call(
            plan.skeleton, tensors, (x, drop_path_rate, read), tie_weights=False
        )
        return y

    @torch.no_grad()
    def extract(self, architecture: Architecture, statistics: Statistics | None = None) -> Network:
        """The child as a stand-alone network with copies of its weights, in eval mode."""
        like = next(iter(self._shared.values()))
        network = build_network(architecture, self.data_shape)
        network.to(device=like.device, dtype=like.dtype)
        set_layer_share(network, self.layer_share)
        own = dict(network.named_parameters())
        for name, part in self._owners(architecture).items():
            for parameter, full, steps in self._plan(name, part).weights:
                own[f"{name}.{parameter}"].copy_(view(self._shared[full], steps))
        buffers = dict(network.named_buffers())
        for name, value in (statistics or {}).items():
            buffers[name].copy_(value)
        return network.eval()

    @torch.no_grad()
    def extract_part(self, name: str, part: Part) -> nn.Module:
        """One part as a module of its own with copies of its weights, in eval mode.

        Args:
            name: The part's slot.
            part: The part in this slot.
        """
        like, module = next(iter(self._shared.values())), part.build()
        module.to(device=like.device, dtype=like.dtype)
        set_layer_share(module, self.layer_share)
        own = dict(module.named_parameters())
        for parameter, full, steps in self._plan(name, part).weights:
            own[parameter].copy_(view(self._shared[full], steps))
        return module.eval()

    @torch.no_grad()
    def load_child(self, network: Network) -> list[str]:
        """Copy a network's weights into those of its child: the opposite of `extract`.

        Weights that are larger than the network's read nothing beyond it, so that larger children
        with the same families compute the same.

        Returns:
            Names of the shared weights that were written.

        Raises:
            ValueError: the supernet does not hold the network's architecture.
        """
        own, written = dict(network.named_parameters()), []
        for name, part in self._owners(network.architecture).items():
            for parameter, full, steps in self._plan(name, part).weights:
                shared = self._shared[full].data
                for dim, start, length in steps:
                    if dim > 0:
                        shared.narrow(dim, 0, start).zero_()
                        end = start + length
                        shared.narrow(dim, end, shared.shape[dim] - end).zero_()
                view(shared, steps).copy_(own[f"{name}.{parameter}"])
                written.append(full)
        return written

    @torch.no_grad()
    def calibrate(self, architecture: Architecture, batches: Iterable[Tensor]) -> Statistics:
        """Batch-norm statistics of one child: means over some batches of images.

        Returns:
            Statistics by buffer name; empty when the child has no batch norm, in which case no
            batch is run.
        """
        network = self.extract(architecture)
        calibrate(network, batches)
        norms = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        return dict(network.named_buffers()) if norms else {}

    def weights_of(self, architecture: Architecture) -> dict[str, Cut]:
        """Names of the shared weights that a child uses, and their entries that it uses."""
        parts = self._owners(architecture).items()
        plans = [self._plan(name, part) for name, part in parts]
        return {full: steps for plan in plans for _, full, steps in plan.weights}

    def _parts(self, architecture: Architecture) -> dict[str, Part]:
        return parts_of(architecture, self.data_shape)

    def _owners(self, architecture: Architecture) -> dict[str, Part]:
        """The parts that have weights of their own."""
        return {n: part for n, part in self._parts(architecture).items() if not part.again}

    def _plan(self, name: str, part: Part) -> _Plan:
        """The part's skeleton and cuts, made once for each slot and module."""
        like = next(iter(self._shared.values()))
        key = (name, part.module_key(), like.device, like.dtype)
        if key not in self._plans:
            with torch.random.fork_rng():  # building draws initial weights, which are discarded
                skeleton = part.build()
            skeleton.to(device=like.device, dtype=like.dtype)
            weights = []
            for own, parameter in skeleton.named_parameters():
                full = f"{name}.{part.shared_name(own)}"
                if full not in self._shared:
                    raise ValueError(f"'{full}' is not in the supernet of '{self.space.name}'.")
                cut = part.cut(own, tuple(self._shared[full].shape), tuple(parameter.shape))
                weights.append((own, full, cut))
            buffers = tuple(own for own, _ in skeleton.named_buffers())
            _forget_weights(skeleton)
            norms = tuple(progressive(skeleton))
            self._plans[key] = _Plan(skeleton, tuple(weights), buffers, norms)
        return self._plans[key]


def _forget_weights(skeleton: nn.Module) -> None:
    """Keep only the shapes: a skeleton runs on the weights that it is given."""
    for module in skeleton.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            meta = nn.Parameter(parameter.to("meta"), requires_grad=False)
            module.register_parameter(name, meta)
