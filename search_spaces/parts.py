"""Parts: a network is a chain of them.

    stem -> [downsampling -> (mixer -> channel mixer) * depth] * stages -> head

A supernet shares weights by part, costs are counted by part and latencies are measured by part. In
layout `metaformer` a mixer or channel mixer is a residual branch (`branches.py`); in layout `bare`
a mixer that can stride stands alone, with norms of its own, and may change stride and width
(MobileNetV2, NAS-Bench-Macro); any other mixer is a residual branch there as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from search_spaces.architecture import Architecture, Choice
from search_spaces.branches import Branch
from search_spaces.data_shape import DataShape
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, HEADS, MIXERS, STEMS, Family
from search_spaces.layers import drop_path, set_epsilon
from search_spaces.registry import Registry
from search_spaces.slicing import Cut, Shape, by_shape

__all__ = ["Part", "parts_of"]

REGISTRIES: dict[str, Registry[Family]] = {
    "stem": STEMS,
    "downsampling": DOWNSAMPLINGS,
    "mixer": MIXERS,
    "channel_mixer": CHANNEL_MIXERS,
    "head": HEADS,
}
"""The families of each role."""


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
        """The part without its map's size: equal keys build equal modules."""
        return replace(self, size=0)

    def build(self) -> nn.Module:
        """The plain module, freshly initialised; `forward(x, drop_path_rate=0.0)`."""
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

    def _around(self, body: nn.Module) -> nn.Module:
        if self.role not in ("mixer", "channel_mixer"):
            return Trunk(body)
        if self.residual:
            return Branch(self.in_dim, self.norm, body, self.branch)
        keeps = self.in_dim == self.out_dim and self.stride == 1
        return Bare(body, skip=keeps and self.kind != "identity")

    def _body(self) -> nn.Module:
        module, options = self.family.module, self.choice.options
        if self.role == "mixer" and self.family.strided:
            return module(self.in_dim, options, self.out_dim, self.stride)
        if self.role in ("mixer", "channel_mixer"):
            return module(self.in_dim, options)
        if self.role == "downsampling":
            return module(self.in_dim, self.out_dim, self.stride, options, self.norm)
        return module(self.in_dim, self.out_dim, options, self.norm)


class Bare(nn.Module):
    """A mixer alone, with a residual connection where `skip` says that the shape is kept."""

    def __init__(self, body: nn.Module, skip: bool) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: Tensor, drop_path_rate: float = 0.0) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'); the rate applies to a residual branch."""
        y: Tensor = self.body(x)
        return x + drop_path(y, drop_path_rate) if self.skip else y


class Trunk(nn.Module):
    """A part without a residual branch: stem, downsampling or head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, drop_path_rate: float = 0.0) -> Tensor:
        """Run the body; there is no path to drop."""
        y: Tensor = self.body(x)
        return y


def parts_of(architecture: Architecture, data_shape: DataShape) -> dict[str, Part]:
    """The parts of a network by name, in the order in which they run."""
    return dict(_walk(architecture, data_shape))


def is_branch(layout: str, mixer: Choice) -> bool:
    """Whether a mixer is a residual branch in a stage of that layout."""
    return layout != "bare" or not MIXERS[mixer.kind].strided


def _walk(a: Architecture, data_shape: DataShape) -> Iterator[tuple[str, Part]]:
    stride: int = getattr(a.stem.options, "stride", 1)
    stem = Part("stem", a.stem, data_shape.channels, a.stem_width, a.resolution, stride, a.norm)
    yield "stem", stem
    dim, size = stem.out_dim, stem.out_size
    for i, stage in enumerate(a.stages):
        bare = stage.layout == "bare"
        if stage.downsampling is not None:
            down = Part(
                "downsampling", stage.downsampling, dim, stage.width, size, stage.stride, a.norm
            )
            yield f"stages.{i}.downsampling", down
            dim, size = stage.width, down.out_size
        for j, block in enumerate(stage.blocks):
            step = stage.stride if bare and j == 0 else 1
            branch = is_branch(stage.layout, block.mixer)
            mixer = Part(
                "mixer", block.mixer, dim, stage.width, size, step, a.norm, branch, stage.branch
            )
            yield f"stages.{i}.blocks.{j}.mixer", mixer
            dim, size = stage.width, mixer.out_size
            if block.channel_mixer.kind != "none":
                channel = Part(
                    "channel_mixer",
                    block.channel_mixer,
                    dim,
                    dim,
                    size,
                    1,
                    a.norm,
                    branch=stage.branch,
                )
                yield f"stages.{i}.blocks.{j}.channel_mixer", channel
    yield "head", Part("head", a.head, dim, data_shape.classes, size, 1, a.norm)
