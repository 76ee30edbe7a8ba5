"""Masked images as a warm start, checked against a slow computation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.errors import TrainingError, UnknownNameError
from search_spaces.network import Wrap
from search_spaces.space import SearchSpace, load_space
from supernet import Supernet
from supernet.batches import TrainingData
from supernet.method import Setup, choose
from supernet.sampling import SAMPLERS, Child, Moment
from supernet.supervision import SUPERVISIONS, Supervision
from supernet.supervision.bootstrap import Bootstrap
from supernet.supervision.masked import Masked, patches
from supernet.training.memory import MemoryPlan
from supernet.training.parallel.workers import Alone, PartOfBatch
from supernet.training.recipe import Recipe
from supernet.training.step import RunningStep
from supernet.training.train import train


def setup_of(supernet: Supernet) -> Setup:
    return Setup(supernet, lambda codes: codes.sum(axis=1).astype(float))


def made(supernet: Supernet, **options: object) -> Masked:
    torch.manual_seed(7)
    supervision = choose(SUPERVISIONS, "masked", options).make(setup_of(supernet))
    assert isinstance(supervision, Masked)
    return supervision.to(next(supernet.parameters()).dtype)


def step_of(supernet: Supernet, child: Child, images: Tensor, number: int = 0) -> RunningStep:
    """The step of that number out of ten: one child on some images."""

    def batch(side: int) -> PartOfBatch:
        count = len(images)
        return PartOfBatch(images, torch.eye(2)[[0] * count], torch.arange(count))

    device, alone = torch.device("cpu"), Alone()
    plan = MemoryPlan(Recipe(), alone)

    def maps(x: Tensor, architecture: Architecture, wrap: Wrap) -> Iterator[tuple[str, Tensor]]:
        return supernet.maps(x, architecture, wrap=wrap)

    return RunningStep(Moment(number, 10), [child], maps, batch, device, alone, plan)


def slow_loss(
    supernet: Supernet, supervision: Masked, child: Architecture, images: Tensor, mask: Tensor
) -> Tensor:
    """The loss pixel by pixel, with a gradient."""
    side, channels = images.shape[-1], images.shape[1]
    seen = images.clone()
    for i, y, x in mask[:, 0].nonzero().tolist():
        seen[i, :, y, x] = supervision.token
    last = list(dict(supernet.maps(seen, child)).values())[-2]
    layer, square = supervision.pixels.layer, supervision.pixels.side
    total, positions = images.new_zeros(()), last.shape[-1]
    for i in range(len(images)):
        tall = images.new_zeros(channels, positions * square, positions * square)
        for y in range(positions):
            for x in range(positions):
                features = last[i, :, y, x]
                own = layer.weight[:, : len(features)] @ features + layer.bias
                at = (slice(y * square, (y + 1) * square), slice(x * square, (x + 1) * square))
                tall[:, at[0], at[1]] = own.view(channels, square, square)
        ratio = tall.shape[-1] // side  # of these sizes, a whole number
        for y, x in mask[i, 0].nonzero().tolist():
            rows, columns = slice(y * ratio, (y + 1) * ratio), slice(x * ratio, (x + 1) * ratio)
            guess = tall[:, rows, columns].mean((1, 2))
            total = total + (guess - images[i, :, y, x]).abs().sum()
    return total / (channels * mask.sum())


STRIDES = """
schema: 1
name: strides
resolution: 8
stem: [conv: {stride: [1, 2]}]
stages:
- {width: [8, 12], depth: 1, mixers: [pool]}
- {width: [12, 20], depth: 1, stride: 2, downsampling: [conv], mixers: [pool]}
"""


@pytest.fixture
def strides_space() -> SearchSpace:
    """Stems of two strides."""
    return SearchSpace(read_definition(STRIDES, "test"))


@pytest.mark.parametrize("which", ["space", "batch_norm_space", "strides_space"])
def test_the_loss_and_the_tokens_gradient_are_the_formulas(
    which: str, request: pytest.FixtureRequest
) -> None:
    space: SearchSpace = request.getfixturevalue(which)
    supernet = Supernet(space, DataShape(3, 2), seed=3).double()
    supervision = made(supernet, mask_ratio=0.4)
    with torch.no_grad():
        supervision.token.copy_(torch.tensor([0.3, -0.2, 0.1]))
    for code in (space.largest(), space.smallest()):
        child = space.decode(code)
        images = torch.randn(5, 3, child.resolution, child.resolution, dtype=torch.float64)
        torch.manual_seed(4)
        mask = patches(images, 4, 0.4)
        wanted = slow_loss(supernet, supervision, child, images, mask)
        (gradient,) = torch.autograd.grad(wanted, supervision.token)
        torch.manual_seed(4)
        supervision.token.grad = None
        for loss in supervision.losses(step_of(supernet, Child(child), images)):
            loss.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
        torch.testing.assert_close(supervision.token.grad, gradient, rtol=1e-9, atol=1e-12)


def test_children_of_other_strides_share_one_layer(strides_space: SearchSpace) -> None:
    supernet = Supernet(strides_space, DataShape(1, 2))
    ends = [strides_space.decode(c) for c in (strides_space.largest(), strides_space.smallest())]
    images = torch.zeros(1, 1, 8, 8)
    sides = [list(dict(supernet.maps(images, child)).values())[-2].shape[-1] for child in ends]
    assert made(supernet).pixels.side == 4 and set(sides) == {2, 4}


@pytest.mark.parametrize(("size", "grid", "ratio"), [(8, 4, 0.6), (16, 8, 0.5), (7, 3, 0.3)])
def test_as_many_whole_patches_of_each_image_are_masked(
    size: int, grid: int, ratio: float
) -> None:
    torch.manual_seed(0)
    mask = patches(torch.empty(50, 3, size, size), grid, ratio)
    of = [math.floor(i * grid / size) for i in range(size)]
    counts = []
    for image in mask[:, 0]:
        cells: dict[tuple[int, int], set[bool]] = {}
        for y in range(size):
            for x in range(size):
                cells.setdefault((of[y], of[x]), set()).add(bool(image[y, x]))
        assert all(len(values) == 1 for values in cells.values())
        counts.append(sum(values == {True} for values in cells.values()))
    assert counts == [math.ceil(ratio * grid * grid)] * 50
    assert bool(mask.any(0).all()) and not bool(mask.all(0).any())


@pytest.mark.parametrize("side", [5, 6, 7, 8])
def test_sides_that_strides_do_not_divide_are_predicted(side: int) -> None:
    space = load_space("hybrid-tiny")
    supernet = Supernet(space, DataShape(1, 10), seed=3)
    last = torch.randn(2, supernet.space.decode(space.largest()).stages[-1].width, side, side)
    found = made(supernet).pixels(last, 2 * side - 1)
    assert found.shape == (2, 1, 2 * side - 1, 2 * side - 1)


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_it_goes_with_every_sampler_and_batch_norm(
    sampler: str, batch_norm_space: SearchSpace, blobs: TrainingData
) -> None:
    supernet = Supernet(batch_norm_space, DataShape(1, 2), seed=3)
    chosen = choose(SAMPLERS, sampler, {}).make(setup_of(supernet))
    then = "labels" if sampler == "multi-architecture" else "in-place"
    recipe = Recipe(epochs=1, batch_size=8)
    curve = train(supernet, blobs, recipe, chosen, made(supernet, share=0.5, then=then), seed=1)
    assert math.isfinite(curve[-1]["loss"])


def trained(space: SearchSpace, blobs: TrainingData, share: float) -> tuple[Supernet, list[float]]:
    """A supernet, and the loss of each epoch."""
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    sampler = choose(SAMPLERS, "sandwich", {}).make(setup_of(supernet))
    recipe = Recipe(epochs=20, batch_size=16, learning_rate=1e-2)
    curve = train(supernet, blobs, recipe, sampler, made(supernet, share=share), seed=1)
    return supernet, [entry["loss"] for entry in curve]


def test_children_learn_to_see_what_is_masked(space: SearchSpace, blobs: TrainingData) -> None:
    _, losses = trained(space, blobs, share=0.95)
    assert min(losses[10:19]) < 0.75 * losses[0]


def test_labels_are_learnt_after_the_warm_start(space: SearchSpace, blobs: TrainingData) -> None:
    supernet, _ = trained(space, blobs, share=0.3)
    for code in (space.largest(), *space.sample(3, np.random.default_rng(0))):
        child = space.decode(code)
        batch = blobs.batch(10_000, 64, child.resolution)
        right = supernet(batch.images, child).argmax(1) == batch.targets.argmax(1)
        assert right.float().mean() > 0.9


def test_another_supervision_takes_over_after_its_share(space: SearchSpace) -> None:
    supernet = Supernet(space, DataShape(1, 2), seed=3)
    supervision = made(supernet, share=0.3, then="labels")
    child = Child(space.decode(space.largest()))
    side = child.architecture.resolution
    images = torch.randn(4, 1, side, side)
    scores = supernet(images, child.architecture)
    labels = torch.nn.functional.cross_entropy(scores, torch.zeros(4, dtype=torch.int64))
    for number, masked in [(0, True), (2, True), (3, False), (9, False)]:
        loss = next(supervision.losses(step_of(supernet, child, images, number)))
        assert torch.allclose(loss, labels) is not masked


def test_what_takes_over_is_trained_and_saved_with_it(space: SearchSpace) -> None:
    supervision: Supervision = made(Supernet(space, DataShape(1, 2)), then="bootstrap")
    assert isinstance(supervision.then, Bootstrap)
    assert "then.steps" in dict(supervision.named_buffers())
    assert any(name.startswith("then.") for name, _ in supervision.named_parameters())


def test_masked_images_alone_are_refused(space: SearchSpace) -> None:
    with pytest.raises(TrainingError, match="another supervision has to take over"):
        made(Supernet(space, DataShape(1, 2)), then="masked")


def test_what_takes_over_must_exist(space: SearchSpace) -> None:
    with pytest.raises(UnknownNameError, match="Unknown supervision 'label'. Did you mean"):
        made(Supernet(space, DataShape(1, 2)), then="label")
