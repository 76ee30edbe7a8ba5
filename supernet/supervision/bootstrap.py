"""Bootstrapping: children learn to see in an image what their averaged ensemble sees in a part.

    t_s = mean over the step's children of v_s(x') / |v_s(x')|     averaged weights, other view x'
    L   = (1 - w) mean over stages s of |p_s / |p_s| - t_s / |t_s||^2  +  w H(y, q)

v_s is the last map of stage s, averaged over its positions and projected to a vector; p_s is the
child's own, on the step's images, after one more projection. The averaged weights follow the
shared ones slowly (mean teacher). These targets need no labels. With w = 0 none are used, and the
head that gives class scores is not trained. All stages are trained at once, and a stage also
learns from the losses of later ones; the paper trains one stage after the other, on frozen ones.

The averages are one more copy of the shared weights, in memory and in checkpoints. A step updates
all of them and runs each child once more, without gradients and on the whole batch. So it takes
about one and a half times as long (hybrid-tiny on digits, a CPU), and longer with samplers whose
children share a batch. Several workers exchange the maps of all parts.
Paper: BossNAS, Li et al. 2021, https://arxiv.org/abs/2103.12424 (Section 3), with the vectors of
BYOL, Grill et al. 2020, https://arxiv.org/abs/2006.07733
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace
from supernet.method import Method, Setup
from supernet.supervision import SUPERVISIONS, Step, Supervision

HIDDEN = 4
"""Width of a projection's hidden layer, in lengths of its vector."""
EPSILON = 1e-5
"""Added to a variance."""
_STAGE = re.compile(r"stages\.(\d+)\.")


@dataclass(frozen=True)
class BootstrapOptions:
    """How much the labels count, the averages, and the view that the ensemble sees."""

    label_weight: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a child's loss that comes from the labels."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Share of the averages that a step keeps; less in the first steps."""
    features: Annotated[int, Field(ge=2)] = 64
    """Length of the vectors."""
    crop: Annotated[float, Field(gt=0, le=1)] = 0.7
    """The smallest side of the part that is seen, as a share of the image's side."""
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The largest change of contrast (a share) and of brightness (in normalised values)."""


class Projection(nn.Module):
    """Two layers, of which the first reads as many inputs as there are.

    Its features are normalised over the images, which keeps the vectors of different images from
    becoming the same one: that would be the lowest loss.
    """

    def __init__(self, dim: int, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(dim, HIDDEN * features)
        self.second = nn.Linear(HIDDEN * features, features)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> (B, features), C at most `dim`."""
        hidden = F.linear(x, self.first.weight[:, : x.shape[1]], self.first.bias)
        var, mean = torch.var_mean(hidden, 0, correction=0, keepdim=True)  # also of one image
        y: Tensor = self.second(F.relu((hidden - mean) * torch.rsqrt(var + EPSILON)))
        return y


class Bootstrap(Supervision):
    """Children follow the mean of their ensemble, stage by stage."""

    steps: Tensor
    """How many steps the averages have followed the weights."""

    def __init__(self, setup: Setup, options: BootstrapOptions) -> None:
        super().__init__()
        self.options = options
        widths = stage_widths(setup.supernet.space, setup.supernet.data_shape)
        length = options.features
        self.projections = nn.ModuleList(Projection(width, length) for width in widths)
        self.predictors = nn.ModuleList(Projection(length, length) for _ in widths)
        averaged = {
            **dict(setup.supernet.named_parameters(prefix="average/supernet")),
            **dict(self.projections.named_parameters(prefix="average/projections")),
        }
        self._weights = tuple(averaged.values())  # in a tuple: the supernet has its own
        self._names = tuple(name.replace(".", "/") for name in averaged)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        for name, weight in zip(self._names, self._weights, strict=True):
            self.register_buffer(name, weight.detach().clone())

    def losses(self, step: Step) -> Iterator[Tensor]:
        """One for each child."""
        self._follow()
        taught = self._taught(step)
        for child in step.children:
            maps, batch = step.maps(child), step.batch(child)
            stages = [
                distance(predict(vector), soft[child.rows(len(soft))])
                for predict, vector, soft in zip(
                    self.predictors, self._vectors(maps), taught, strict=True
                )
            ]
            labels = F.cross_entropy(maps[next(reversed(maps))], batch.targets)
            shown = torch.stack(stages).mean().to(labels)
            yield torch.lerp(shown, labels, self.options.label_weight)

    @torch.no_grad()
    def _taught(self, step: Step) -> list[Tensor]:
        """Of each stage, the mean of all children's vectors with averaged weights, (B, D)."""
        found = []
        with self._averaged():
            for child in step.children:
                whole = replace(child, begin=0.0, end=1.0)
                view = other_view(step.batch(whole).images, self.options.crop, self.options.jitter)
                vectors = self._vectors(step.maps(whole, view))
                found.append([F.normalize(vector, dim=1) for vector in vectors])
        return [torch.stack(stage).mean(0) for stage in zip(*found, strict=True)]

    def _vectors(self, maps: Mapping[str, Tensor]) -> list[Tensor]:
        """Of each stage, its projected last map."""
        ends = stage_ends(maps, len(self.projections))
        kind = next(self.projections.parameters()).dtype
        return [
            project(end.mean((2, 3), dtype=kind))
            for project, end in zip(self.projections, ends, strict=True)
        ]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averages towards the weights; in the first step they become the weights."""
        done = int(self.steps)
        # Early averages follow the weights closely.
        momentum = min(self.options.momentum, done / (done + 10))
        averages = [self.get_buffer(name) for name in self._names]
        torch._foreach_lerp_(averages, list(self._weights), 1 - momentum)
        self.steps += 1

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within the block, the averages are the weights. Nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in zip(self._names, self._weights, strict=True):
            average = self.get_buffer(name)
            weight.data, average.data = average.data, weight.data


def distance(found: Tensor, taught: Tensor) -> Tensor:
    """The squared distance of unit vectors, a mean over images: (B, D), (B, D) -> scalar."""
    return (2 - 2 * F.cosine_similarity(found, taught, dim=1)).mean()


def other_view(images: Tensor, crop: float, jitter: float) -> Tensor:
    """A part of each image at its full size, with other contrast and brightness.

    There are no mirror images, because mirrored digits or letters are others.

    Args:
        images: (B, C, R, R).
        crop: The smallest side of the part, as a share of the image's side.
        jitter: Bound of both changes: x -> (1 + c) x + b, where |c|, |b| <= jitter.
    """
    chance = torch.rand((5, len(images)), dtype=images.dtype, device=images.device)
    side = 1 - (1 - crop) * chance[0]
    right, down, contrast, brightness = 2 * chance[1:] - 1  # each in -1 ... 1
    affine = images.new_zeros((len(images), 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = side
    affine[:, 0, 2], affine[:, 1, 2] = (1 - side) * right, (1 - side) * down
    places = F.affine_grid(affine, list(images.shape), align_corners=False)
    parts = F.grid_sample(images, places, padding_mode="border", align_corners=False)
    each = (-1, 1, 1, 1)
    view: Tensor = (1 + jitter * contrast.view(each)) * parts + jitter * brightness.view(each)
    return view


def stage_ends(maps: Mapping[str, Tensor], stages: int) -> list[Tensor]:
    """The last map of each stage; an empty stage leaves the map before it as it is."""
    ends: dict[int, Tensor] = {}
    for name, y in list(maps.items())[:-1]:  # the last are the scores
        for stage in range(_stage_of(name), stages):
            ends[stage] = y
    return [ends[stage] for stage in range(stages)]


def stage_widths(space: SearchSpace, data_shape: DataShape) -> list[int]:
    """The most channels that the last map of each stage can have."""
    index = space.part_index(data_shape)
    widest: dict[int, int] = {}
    for slot in index.slots[:-1]:  # the last is the head
        parts = [index.parts[i] for i in set(slot.index.ravel().tolist())]
        stage = _stage_of(slot.name)
        for part in parts:
            widest[stage] = max(widest.get(stage, 0), part.out_dim if part is not None else 0)
    return [max(widest[at] for at in widest if at <= stage) for stage in sorted(widest)]


def _stage_of(name: str) -> int:
    """The number of a part's stage; the stem counts to the first."""
    found = _STAGE.match(name)
    return int(found[1]) if found else 0


SUPERVISIONS.register(
    Method("bootstrap", BootstrapOptions, Bootstrap, paper="https://arxiv.org/abs/2103.12424")
)
