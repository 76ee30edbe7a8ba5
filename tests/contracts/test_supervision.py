"""What every way of teaching keeps: registered ones, and toys of kinds that are to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import supernet.supervision
from search_spaces.space import SearchSpace
from supernet.method import Method, NoOptions, Setup
from supernet.sampling import SAMPLERS, Child, Moment
from supernet.supervision import SUPERVISIONS, Step, Supervision
from supernet.training.workers import PartOfBatch


class OwnHead(Supervision):
    """Features through a layer of its own that is trained along."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def losses(self, step: Step) -> Iterator[Tensor]:
        for child in step.children:
            maps = list(step.maps(child).values())
            features = maps[0].mean((2, 3))[:, :8]  # the narrowest stem has eight channels
            targets = step.batch(child).targets
            yield F.cross_entropy(maps[-1], targets) + F.cross_entropy(
                self.head(features), targets
            )


class AveragedFeatures(Supervision):
    """Bootstrapping: the stem's features follow their own moving average, which is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(4))

    def losses(self, step: Step) -> Iterator[Tensor]:
        for child in step.children:
            first = next(iter(step.maps(child).values())).mean((0, 2, 3))[:4]
            self.average.mul_(0.9).add_(0.1 * first.detach())
            yield (first - self.average).square().mean()


class Ranking(Supervision):
    """A margin over the whole group: the dearer child is to be the better one."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = (setup,)  # not a submodule: the supernet is not its own

    def losses(self, step: Step) -> Iterator[Tensor]:
        space = self.setup[0].supernet.space
        found = [
            F.cross_entropy(step.scores(child), step.batch(child).targets)
            for child in step.children
        ]
        codes = np.stack([space.encode(child.architecture) for child in step.children])
        order = np.argsort(self.setup[0].macs(codes), kind="stable")
        pairs = zip(order, order[1:], strict=False)
        margins = [F.relu(found[dear] - found[cheap] + 0.1) for cheap, dear in pairs]
        yield torch.stack(found).mean() + sum(margins, start=torch.zeros(()))


class Stored(Supervision):
    """Two teachers: logits kept by image, and a network from outside."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.logits = (torch.randn(32, 2, generator=generator),)
        self.outside = (nn.Linear(1, 2),)

    def losses(self, step: Step) -> Iterator[Tensor]:
        for child in step.children:
            batch = step.batch(child)
            with torch.no_grad():
                outside = self.outside[0](batch.images.mean((1, 2, 3))[:, None])
            taught = (self.logits[0][batch.indices] + outside).softmax(1)
            yield F.cross_entropy(step.scores(child), taught)


class Masked(Supervision):
    """A child on masked images agrees with itself on whole ones."""

    def losses(self, step: Step) -> Iterator[Tensor]:
        for child in step.children:
            images = step.batch(child).images
            kept = torch.rand(images.shape[-2:]) > 0.3
            whole = step.scores(child).detach().softmax(1)
            yield F.cross_entropy(step.scores(child, images * kept), whole)


class Sharpness(Supervision):
    """Gradients at the worst point nearby: step up, take gradients there, step back."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = (setup,)

    def losses(self, step: Step) -> Iterator[Tensor]:
        (child,) = step.children[:1]
        targets = step.batch(child).targets
        yield F.cross_entropy(step.scores(child), targets)
        weights = [p for p in self.setup[0].supernet.parameters() if p.grad is not None]
        steps = [0.05 * p.grad / (p.grad.norm() + 1e-12) for p in weights if p.grad is not None]
        _move(weights, steps, 1.0)
        for parameter in weights:
            parameter.grad = None
        yield F.cross_entropy(step.scores(child), targets)
        _move(weights, steps, -1.0)


@torch.no_grad()
def _move(weights: list[nn.Parameter], steps: list[Tensor], sign: float) -> None:
    for weight, by in zip(weights, steps, strict=True):
        weight.add_(by, alpha=sign)


TOYS = [
    Method("own-head", NoOptions, lambda setup, _: OwnHead()),
    Method("averaged-features", NoOptions, lambda setup, _: AveragedFeatures()),
    Method("ranking", NoOptions, lambda setup, _: Ranking(setup)),
    Method("stored", NoOptions, lambda setup, _: Stored()),
    Method("masked", NoOptions, lambda setup, _: Masked()),
    Method("sharpness", NoOptions, lambda setup, _: Sharpness(setup)),
]
every_supervision = pytest.mark.parametrize("method", [*SUPERVISIONS, *TOYS], ids=lambda m: m.name)
SANDWICH = SAMPLERS["sandwich"]


class Canned:
    """A step whose children's scores are given."""

    moment = Moment(0, 1)

    def __init__(self, space: SearchSpace, scores: list[Tensor], targets: Tensor) -> None:
        codes = space.sample(len(scores), np.random.default_rng(0))
        self.children = [Child(space.decode(code)) for code in codes]
        self._scores = dict(zip(self.children, scores, strict=True))
        self._batch = PartOfBatch(torch.empty(0), targets, torch.empty(0))

    def batch(self, child: Child) -> PartOfBatch:
        return self._batch

    def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
        return self._scores[child]

    def maps(self, child: Child, images: Tensor | None = None) -> dict[str, Tensor]:
        return {"head": self._scores[child]}


def test_every_file_of_the_package_registers_the_supervision_of_its_name() -> None:
    paths = [Path(at) for at in supernet.supervision.__path__]
    files = [file.stem for path in paths for file in path.glob("[!_]*.py")]
    assert sorted(files) == sorted(name.replace("-", "_") for name in SUPERVISIONS.names())


@every_supervision
def test_training_moves_the_weights_and_a_killed_one_continues_to_the_same(
    method: Method, setup: Setup, train_toy: Callable[..., Any]
) -> None:
    trained = train_toy(SANDWICH, method)
    assert trained.same(train_toy(SANDWICH, method, kill_at=3))
    start = setup.supernet.state_dict()
    assert any(not torch.equal(trained.weights[name], start[name]) for name in start)
    assert all(torch.isfinite(weight).all() for weight in trained.weights.values())
    assert all(np.isfinite(entry["loss"]) for entry in trained.curve)


def test_parameters_of_a_supervision_are_trained_along(train_toy: Callable[..., Any]) -> None:
    (method,) = (toy for toy in TOYS if toy.name == "own-head")
    torch.manual_seed(0)
    start = OwnHead().head.weight
    trained = train_toy(SANDWICH, method).own["head.weight"]
    assert not torch.equal(trained, start)


def test_labels_are_the_cross_entropy_of_each_child(small_space: SearchSpace) -> None:
    torch.manual_seed(2)
    first, second = torch.randn(2, 5, 3)
    classes = torch.tensor([0, 2, 1, 1, 0])
    step = Canned(small_space, [first, second], F.one_hot(classes, 3).float())
    method = SUPERVISIONS["labels"]
    found = list(method.make(None, method.options()).losses(step))  # type: ignore[arg-type]
    expected = [nn.NLLLoss()(scores.log_softmax(1), classes) for scores in (first, second)]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_children_learn_from_the_first_one_and_the_labels(
    small_space: SearchSpace, weight: float
) -> None:
    torch.manual_seed(2)
    teacher = torch.randn(5, 3, requires_grad=True)
    child = torch.randn(5, 3, requires_grad=True)
    targets = F.one_hot(torch.tensor([0, 2, 1, 1, 0]), 3).float()
    method = SUPERVISIONS["in-place"]
    made = method.make(None, method.options(label_weight=weight))  # type: ignore[arg-type]
    first, second = made.losses(Canned(small_space, [teacher, child], targets))
    # The gradient of a cross entropy with respect to the scores is softmax - target.
    second.backward()
    taught = teacher.detach().softmax(1)
    expected = child.detach().softmax(1) - (weight * targets + (1 - weight) * taught)
    torch.testing.assert_close(child.grad, expected / 5)
    assert teacher.grad is None
    first.backward()
    torch.testing.assert_close(teacher.grad, (taught - targets) / 5)


def test_a_teacher_that_sees_part_of_the_batch_is_refused(small_space: SearchSpace) -> None:
    method = SUPERVISIONS["in-place"]
    step = Canned(small_space, [torch.zeros(4, 3)] * 2, torch.zeros(4, 3))
    step.children[0] = Child(step.children[0].architecture, 0.0, 0.5)
    with pytest.raises(ValueError, match="teaches the others, so it needs the whole batch"):
        list(method.make(None, method.options()).losses(step))  # type: ignore[arg-type]
