"""Parts: a network is a chain of them.

    stem -> position -> [downsampling -> (mixer -> channel mixer) * depth] * stages -> head

A supernet shares weights by part, costs are counted by part and latencies are measured by part. A
mixer or channel mixer is a residual branch (`branches.py`); only in layout `bare` a mixer that can
stride stands alone, with norms of its own, and may change stride and width (MobileNetV2,
NAS-Bench-Macro). A stage's layout decides the order of its parts, and which of them stand side by
side: such a branch reads what the part before it reads, `x + scale * body(norm(r))`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from search_spaces.architecture import Architecture, Choice, Stage
from search_spaces.branches import Branch
from search_spaces.channel_mixers import RatioOptions
from search_spaces.data_shape import DataShape
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    POSITIONS,
    STEMS,
    Family,
)
from search_spaces.layers import drop_path, set_epsilon
from search_spaces.layouts import LAYOUTS, MIXER, PROJECTION, Place, steps_of
from search_spaces.progressive_norm import DEPLOYED, PROGRESSIVE
from search_spaces.registry import Registry
from search_spaces.slicing import Cut, Shape, by_shape

__all__ = ["Part", "deployed_choice", "parts_of", "side_by_side", "weights_of"]

REGISTRIES: dict[str, Registry[Family]] = {
    "stem": STEMS,
    "position": POSITIONS,
    "downsampling": DOWNSAMPLINGS,
    "mixer": MIXERS,
    "channel_mixer": CHANNEL_MIXERS,
    "head": HEADS,
}
"""The families of each role."""

BETWEEN_RUNS = Choice("mlp", RatioOptions(1.0))
"""The projection between two runs of a block (SReT)."""


@dataclass(frozen=True)
class Part:
    """Everything that determines a part's module and the shape of its input.

    `size` is the side of its input map in positions; it does not change the module.
    """

    role: str
    choice: Choice
    in_dim: int
    out_dim: int
    size: int
    stride: int
    norm: str
    residual: bool = True
    again: bool = False
    """Whether the block has run before: the part's weights are those of its first run."""
    branch: str = "scaled"
    """What stands around a residual branch."""

    @property
    def kind(self) -> str:
        """Name of the family."""
        return self.choice.kind

    @property
    def family(self) -> Family:
        """The family."""
        return REGISTRIES[self.role][self.kind]

    @property
    def out_size(self) -> int:
        """Side of the output map; a side that the stride does not divide is rounded up."""
        return -(-self.size // self.stride)

    def input_shape(self, batch_size: int) -> tuple[int, int, int, int]:
        """Shape of the input, (B, C, H, W)."""
        return batch_size, self.in_dim, self.size, self.size

    def module_key(self) -> Part:
        """The part without its map's size and its run: equal keys build equal modules."""
        return replace(self, size=0, again=False)

    def deployed(self) -> Part:
        """The part that a trained one is equal to: it is timed and counted in its place."""
        norm = DEPLOYED if self.norm == PROGRESSIVE else self.norm
        return replace(self, choice=deployed_choice(self.role, self.choice), norm=norm)

    def build(self) -> nn.Module:
        """The plain module, freshly initialised; `forward(x, drop_path_rate=0.0, read=None)`."""
        module = self._around(self._body())
        set_epsilon(module, self.norm)
        return module

    def cut(self, weight: str, largest: Shape, own: Shape) -> Cut:
        """The entries of a shared weight that the part uses.

        Args:
            weight: The weight's name in the part's module.
            largest: Shape of the shared weight.
            own: Shape of the part's weight.
        """
        name = weight.removeprefix("body.")
        rule = by_shape if name == weight else self.family.cut  # else a norm or scale
        return rule(name, largest, own)

    def shared_name(self, weight: str) -> str:
        """The name, within the slot, of the shared weight that the part's weight is cut from."""
        layer = weight.removeprefix("body.").rpartition(".")[0]
        return f"{'common' if layer in self.family.common else self.kind}.{weight}"

    def _around(self, body: nn.Module) -> nn.Module:
        if self.role not in ("mixer", "channel_mixer"):
            return Trunk(body)
        if self.residual:
            return Branch(self.in_dim, self.norm, body, self.branch)
        keeps = self.in_dim == self.out_dim and self.stride == 1
        return Bare(body, skip=keeps and self.family.shortcut)

    def _body(self) -> nn.Module:
        module, options = self.family.module, self.choice.options
        if self.role == "mixer" and self.family.strided:
            return module(self.in_dim, options, self.out_dim, self.stride)
        if self.role in ("mixer", "channel_mixer"):
            return module(self.in_dim, options)
        if self.role == "downsampling":
            return module(self.in_dim, self.out_dim, self.stride, options, self.norm)
        if self.role == "position":
            return module(self.in_dim, options)
        return module(self.in_dim, self.out_dim, options, self.norm)


class Bare(nn.Module):
    """A mixer alone, with a residual connection where `skip` says that the shape is kept."""

    def __init__(self, body: nn.Module, skip: bool) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(
        self, x: Tensor, drop_path_rate: float = 0.0, read: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'); the rate applies to a residual branch.

        It never stands beside another part, so `read` is x.
        """
        y: Tensor = self.body(x)
        return x + drop_path(y, drop_path_rate) if self.skip else y


class Trunk(nn.Module):
    """A part without a residual branch: stem, position, downsampling or head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(
        self, x: Tensor, drop_path_rate: float = 0.0, read: Tensor | None = None
    ) -> Tensor:
        """Run the body; there is no path to drop, and `read` is x."""
        y: Tensor = self.body(x)
        return y


def parts_of(architecture: Architecture, data_shape: DataShape) -> dict[str, Part]:
    """The parts of a network by name, in the order in which they run."""
    return {name: part for name, part, _ in _walk(architecture, data_shape)}


def side_by_side(architecture: Architecture) -> frozenset[str]:
    """Names of the parts that read the map that the part before them reads."""
    if all(len(step) == 1 for stage in architecture.stages for step in _steps(stage)):
        return frozenset()
    return frozenset(name for name, _, beside in _walk(architecture, DataShape()) if beside)


def weights_of(name: str, part: Part) -> str:
    """Name of the part whose weights a part has: its own, or that of the block's first run."""
    return re.sub(r"\.again\.\d+", "", name) if part.again else name


def is_branch(layout: str, mixer: Choice) -> bool:
    """Whether a mixer is a residual branch in a stage of that layout."""
    return not LAYOUTS[layout].strides or not MIXERS[mixer.kind].strided


def deployed_choice(role: str, choice: Choice) -> Choice:
    """The choice that a trained module of this one is equal to, mostly itself."""
    deployed = REGISTRIES[role][choice.kind].deployed
    return choice if deployed is None else Choice(*deployed(choice.options))


def choice_in(place: Place, mixer: Choice, channel_mixer: Choice) -> Choice:
    """The choice of a block that stands in a place of it."""
    if place.kind == PROJECTION:
        return BETWEEN_RUNS
    return mixer if place.kind == MIXER else channel_mixer


def _walk(a: Architecture, data_shape: DataShape) -> Iterator[tuple[str, Part, bool]]:
    """Each part: its name, and whether it stands beside the one before it."""
    stride: int = getattr(a.stem.options, "stride", 1)
    stem = Part("stem", a.stem, data_shape.channels, a.stem_width, a.resolution, stride, a.norm)
    yield "stem", stem, False
    dim, size = stem.out_dim, stem.out_size
    if a.position.kind != "none":
        yield "position", Part("position", a.position, dim, dim, size, 1, a.norm), False
    for i, stage in enumerate(a.stages):
        opens = LAYOUTS[stage.layout].strides
        if stage.downsampling is not None:
            down = Part(
                "downsampling", stage.downsampling, dim, stage.width, size, stage.stride, a.norm
            )
            yield f"stages.{i}.downsampling", down, False
            dim, size = stage.width, down.out_size
        for step in _steps(stage):
            beside = False
            for place in step:
                block = stage.blocks[place.block]
                choice = choice_in(place, block.mixer, block.channel_mixer)
                if place.role != MIXER and choice.kind == "none":
                    continue
                first = opens and place == (0, MIXER, 0)
                part = Part(
                    place.role,
                    choice,
                    dim,
                    stage.width,
                    size,
                    stage.stride if first else 1,
                    a.norm,
                    place.role != MIXER or is_branch(stage.layout, choice),
                    place.again,
                    stage.branch,
                )
                yield f"stages.{i}.{place.name}", part, beside
                dim, size, beside = stage.width, part.out_size, True
    yield "head", Part("head", a.head, dim, data_shape.classes, size, 1, a.norm), False


def _steps(stage: Stage) -> Iterator[list[Place]]:
    return steps_of(LAYOUTS[stage.layout], len(stage.blocks), stage.recursion)
