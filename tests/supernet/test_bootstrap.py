"""Bootstrapping: targets of the averaged ensemble, checked against a slow computation."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.network import Wrap
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.batches import Batch, TrainingData
from supernet.method import Setup, choose
from supernet.sampling import SAMPLERS, Child, Moment
from supernet.supervision import SUPERVISIONS
from supernet.supervision.bootstrap import Bootstrap, other_view, stage_ends, stage_widths
from supernet.training.memory import MemoryPlan
from supernet.training.parallel.workers import Alone, PartOfBatch
from supernet.training.recipe import Recipe
from supernet.training.step import RunningStep
from supernet.training.train import train

STAGES = ("stages.0.", "stages.1.")


def setup_of(supernet: Supernet) -> Setup:
    return Setup(supernet, lambda codes: codes.sum(axis=1).astype(float))


def made(supernet: Supernet, **options: float) -> Bootstrap:
    torch.manual_seed(7)
    supervision = choose(SUPERVISIONS, "bootstrap", options).make(setup_of(supernet))
    assert isinstance(supervision, Bootstrap)
    return supervision.to(next(supernet.parameters()).dtype)


class Exact:
    """Training data in double precision."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def steps_per_epoch(self, batch_size: int) -> int:
        return self.data.steps_per_epoch(batch_size)

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        batch = self.data.batch(step, batch_size, resolution)
        return PartOfBatch(batch.images.double(), batch.targets.double(), batch.indices)


def step_of(supernet: Supernet, children: list[Child], data: TrainingData) -> RunningStep:
    device, alone = torch.device("cpu"), Alone()
    plan = MemoryPlan(Recipe(), alone)

    def maps(x: Tensor, architecture: Architecture, wrap: Wrap) -> Iterator[tuple[str, Tensor]]:
        return supernet.maps(x, architecture, wrap=wrap)

    return RunningStep(
        Moment(0, 10), children, maps, lambda r: data.batch(0, 8, r), device, alone, plan
    )


def some_children(space: SearchSpace) -> list[Child]:
    """One that sees all images, and two that share them."""
    codes = [space.largest(), *space.sample(2, np.random.default_rng(1))]
    shares = [(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)]
    return [Child(space.decode(code), *at) for code, at in zip(codes, shares, strict=True)]


def disturb(module: nn.Module) -> None:
    """Change every weight, as an update would."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))


def slow_vectors(
    supernet: Supernet, projections: nn.Module, child: Child, images: Tensor
) -> list[list[Tensor]]:
    """The vectors of each stage, image by image."""
    nothing = images.new_zeros(())
    maps = dict(supernet.maps(images, child.architecture))
    found = []
    for stage, project in zip(STAGES, projections, strict=True):  # type: ignore[call-overload]
        last = [y for name, y in maps.items() if name.startswith(stage)][-1]
        hidden = []
        for image in last:
            pooled = torch.stack([channel.sum() / channel.numel() for channel in image])
            padding = pooled.new_zeros(project.first.in_features - len(pooled))
            hidden.append(project.first(torch.cat([pooled, padding])))
        mean = sum(hidden, nothing) / len(hidden)
        square = sum(((each - mean) ** 2 for each in hidden), nothing)
        spread = (square / len(hidden) + 1e-5).sqrt()
        vectors = [project.second(((each - mean) / spread).clamp(min=0)) for each in hidden]
        found.append(vectors)
    return found


def slow_losses(
    supernet: Supernet,
    old: tuple[Supernet, nn.Module],
    supervision: Bootstrap,
    children: list[Child],
    data: TrainingData,
    label_weight: float,
) -> list[float]:
    """The losses by the formula; `old` are supernet and projections with averaged weights."""
    ensemble = []
    for child in children:
        images = data.batch(0, 8, child.architecture.resolution).images
        view = other_view(images, 0.7, 0.2)
        ensemble.append(slow_vectors(*old, child, view))
    losses = []
    for child in children:
        batch, rows = data.batch(0, 8, child.architecture.resolution), child.rows(8)
        images, targets = batch.images[rows], batch.targets[rows]
        own = slow_vectors(supernet, supervision.projections, child, images)
        total = 0.0
        for stage, predict in enumerate(supervision.predictors):
            for i, number in enumerate(range(rows.start, rows.stop)):
                known = [each[stage][number] for each in ensemble]
                units = [v / v.square().sum().sqrt() for v in known]
                taught = sum(units, torch.zeros(())) / len(known)
                guess = predict(torch.stack(own[stage]))[i]
                unit, wanted = guess / guess.square().sum().sqrt(), taught / taught.norm()
                total += float((unit - wanted).square().sum()) / len(images) / len(STAGES)
        scores = supernet(images, child.architecture)
        labels = float(-(targets * scores.log_softmax(1)).sum() / len(images))
        losses.append((1 - label_weight) * total + label_weight * labels)
    return losses


@pytest.mark.parametrize("norm", ["space", "batch_norm_space"])
@pytest.mark.parametrize("label_weight", [0.0, 0.25])
def test_the_loss_is_the_formulas(
    norm: str, label_weight: float, blobs: TrainingData, request: pytest.FixtureRequest
) -> None:
    space: SearchSpace = request.getfixturevalue(norm)
    supernet = Supernet(space, DataShape(1, 2), seed=3).double()
    supervision, data = made(supernet, label_weight=label_weight), Exact(blobs)
    children = some_children(space)
    old = copy.deepcopy((supernet, supervision.projections))
    for loss in supervision.losses(step_of(supernet, children, data)):
        loss.backward()  # type: ignore[no-untyped-call]
    disturb(supernet)
    disturb(supervision)
    # The averages began as the first weights, and keep 1 / 11 of themselves in the second step.
    for average, new in zip(old, (supernet, supervision.projections), strict=True):
        for mine, its in zip(average.parameters(), new.parameters(), strict=True):
            mine.data = mine.data / 11 + its.data * 10 / 11
    torch.manual_seed(4)
    losses = supervision.losses(step_of(supernet, children, data))
    found = [loss.item() for loss in losses]
    torch.manual_seed(4)
    with torch.no_grad():
        wanted = slow_losses(supernet, old, supervision, children, data, label_weight)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_ensemble_gets_no_gradient_and_the_weights_are_put_back(
    space: SearchSpace, blobs: TrainingData
) -> None:
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    supervision = made(supernet)
    before = {name: (p, p.data_ptr(), p.clone()) for name, p in supernet.named_parameters()}
    for loss in supervision.losses(step_of(supernet, some_children(space), blobs)):
        loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in supernet.named_parameters():
        same, place, value = before[name]
        assert parameter is same and parameter.data_ptr() == place, name
        assert torch.equal(parameter, value), name
    assert all(buffer.grad is None for buffer in supervision.buffers())


def test_the_weights_are_put_back_after_an_error(space: SearchSpace, blobs: TrainingData) -> None:
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    supervision = made(supernet)
    places = [parameter.data_ptr() for parameter in supernet.parameters()]

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    step = step_of(supernet, some_children(space), blobs)
    step.maps = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="out of memory"):
        next(supervision.losses(step))
    assert [parameter.data_ptr() for parameter in supernet.parameters()] == places


def slow_view(image: Tensor, side: float, right: float, down: float) -> Tensor:
    """A part of an image (R, R) at its full size, point by point."""
    size = len(image)
    view = torch.zeros_like(image)
    for i in range(size):
        for j in range(size):
            at = []
            for pixel, shift in ((i, down), (j, right)):
                place = side * ((2 * pixel + 1) / size - 1) + (1 - side) * shift
                at.append(min(max(((place + 1) * size - 1) / 2, 0.0), size - 1.0))
            top, left = int(at[0]), int(at[1])
            for y, x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                share = max(0.0, 1 - abs(at[0] - y)) * max(0.0, 1 - abs(at[1] - x))
                if share > 0:
                    view[i, j] += share * image[y, x]
    return view


def test_a_view_is_an_enlarged_part_with_another_contrast_and_brightness() -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 2, 7, 7, dtype=torch.float64)
    torch.manual_seed(1)
    found = other_view(images, crop=0.5, jitter=0.3)
    torch.manual_seed(1)
    chance = torch.rand(5, 3, dtype=torch.float64).tolist()
    for i, (crop, right, down, contrast, brightness) in enumerate(zip(*chance, strict=True)):
        for channel in range(2):
            part = slow_view(images[i, channel], 1 - 0.5 * crop, 2 * right - 1, 2 * down - 1)
            wanted = (1 + 0.3 * (2 * contrast - 1)) * part + 0.3 * (2 * brightness - 1)
            torch.testing.assert_close(found[i, channel], wanted)


def test_a_view_without_crop_and_jitter_is_the_image() -> None:
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(other_view(images, crop=1.0, jitter=0.0), images)


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_it_goes_with_every_sampler_and_batch_norm(
    sampler: str, batch_norm_space: SearchSpace, blobs: TrainingData
) -> None:
    supernet = Supernet(batch_norm_space, DataShape(1, 2), seed=3)
    chosen = choose(SAMPLERS, sampler, {}).make(setup_of(supernet))
    recipe = Recipe(epochs=1, batch_size=8)
    curve = train(supernet, blobs, recipe, chosen, made(supernet), seed=1)
    assert math.isfinite(curve[-1]["loss"])


def test_without_labels_the_loss_falls_and_targets_stay_different(
    space: SearchSpace, blobs: TrainingData
) -> None:
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    supervision = made(supernet, label_weight=0.0)
    sampler = choose(SAMPLERS, "sandwich", {}).make(setup_of(supernet))
    recipe = Recipe(epochs=10, batch_size=16, learning_rate=4e-3)
    curve = train(supernet, blobs, recipe, sampler, supervision, seed=1)
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    taught = supervision._taught(step_of(supernet, some_children(space), blobs))
    for stage in taught:
        assert float(nn.functional.normalize(stage, dim=1).std(0).norm()) > 0.5


def test_with_labels_all_children_learn_them(space: SearchSpace, blobs: TrainingData) -> None:
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    sampler = choose(SAMPLERS, "sandwich", {}).make(setup_of(supernet))
    recipe = Recipe(epochs=15, batch_size=16, learning_rate=1e-2)
    train(supernet, blobs, recipe, sampler, made(supernet), seed=1)
    for code in (space.largest(), *space.sample(3, np.random.default_rng(0))):
        child = space.decode(code)
        batch = blobs.batch(10_000, 64, child.resolution)
        right = supernet(batch.images, child).argmax(1) == batch.targets.argmax(1)
        assert right.float().mean() > 0.9


EMPTY = """
schema: 1
name: empty
resolution: 8
stem: [conv: {stride: 1}]
stages:
- {width: [12, 20], depth: [0, 1], mixers: [pool]}
- {width: 8, depth: 1, stride: 2, downsampling: [conv], mixers: [pool]}
"""


def test_a_stage_without_blocks_has_the_map_before_it() -> None:
    space = SearchSpace(read_definition(EMPTY, "test"))
    assert stage_widths(space, DataShape(1, 2)) == [20, 20]
    supernet = Supernet(space, DataShape(1, 2))
    child = space.decode(space.smallest())
    maps = dict(supernet.maps(torch.zeros(2, 1, 8, 8), child))
    first, second = stage_ends(maps, 2)
    assert first is maps["stem"] and second is list(maps.values())[-2]
