"""What every way of teaching keeps: registered ones, and toys of kinds that are to come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import supernet.supervision
from search_spaces.errors import TrainingError
from search_spaces.space import SearchSpace
from supernet.method import Method, NoOptions, Setup
from supernet.sampling import SAMPLERS, Child, Moment
from supernet.supervision import SUPERVISIONS, Step, Supervision
from supernet.supervision.alpha_divergence import divergence, pull
from supernet.supervision.in_place import distance
from supernet.training.parallel.workers import PartOfBatch


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


TOYS = [
    Method("own-head", NoOptions, lambda setup, _: OwnHead()),
    Method("averaged-features", NoOptions, lambda setup, _: AveragedFeatures()),
    Method("stored", NoOptions, lambda setup, _: Stored()),
    Method("masked", NoOptions, lambda setup, _: Masked()),
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

    def features(self, child: Child) -> tuple[Tensor, Tensor]:
        scores = self.scores(child)
        return torch.zeros(len(scores), 1), scores

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


def test_the_distance_of_features_counts_in_variances_of_the_teachers() -> None:
    taught = torch.tensor([[0.0, 10.0, 5.0], [2.0, 30.0, 7.0]])  # variances 1, 100, 1
    own = taught[:, :2] + torch.tensor([1.0, -10.0])  # each one deviation away
    expected = (1 / (1 + 0.01 * 50.5) + 100 / (100 + 0.01 * 50.5)) / 2
    for pair in ((own, taught), (own, taught[:, :2])):
        torch.testing.assert_close(distance(*pair), torch.tensor(expected), atol=1e-5, rtol=0.0)
    assert distance(taught, taught) == 0 and torch.isfinite(distance(own[:1], taught[:1]))


def test_children_learn_what_the_first_ones_head_reads(setup: Setup) -> None:
    space, features = setup.supernet.space, torch.randn(2, 4, 3).requires_grad_()

    class Seen(Canned):
        def features(self, child: Child) -> tuple[Tensor, Tensor]:
            return features[self.children.index(child)], self.scores(child)

    step = Seen(space, [torch.zeros(4, 3)] * 2, torch.full((4, 3), 1 / 3))
    without, with_them = (
        list(_made(setup, "in-place", feature_weight=weight).losses(step))[1] for weight in (0, 2)
    )
    torch.testing.assert_close(with_them - without, 2 * distance(features[1], features[0]))
    with_them.backward()
    gradients = features.grad
    assert gradients is not None and not gradients[0].any() and gradients[1].any()


def test_a_teacher_that_rests_teaches_and_does_not_learn(small_space: SearchSpace) -> None:
    teacher, child = (torch.zeros(4, 3, requires_grad=True) for _ in range(2))
    method, targets = SUPERVISIONS["in-place"], torch.eye(3)[[0, 1, 2, 0]]
    made = method.make(None, method.options(teacher_every=3))  # type: ignore[arg-type]

    def learning(number: int, scores: list[Tensor]) -> list[bool]:
        class Step(Canned):
            moment = Moment(number, 9)

            def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
                return super().scores(child) * 1.0  # an operation, as a network is one

        return [loss.requires_grad for loss in made.losses(Step(small_space, scores, targets))]

    assert [learning(number, [teacher, child]) for number in range(4)] == [
        [True, True],
        [False, True],
        [False, True],
        [True, True],
    ]
    assert learning(1, [teacher]) == [True]  # it teaches nobody


def test_a_teacher_that_sees_part_of_the_batch_is_refused(small_space: SearchSpace) -> None:
    method = SUPERVISIONS["in-place"]
    step = Canned(small_space, [torch.zeros(4, 3)] * 2, torch.zeros(4, 3))
    step.children[0] = Child(step.children[0].architecture, 0.0, 0.5)
    with pytest.raises(TrainingError, match="teaches the others, so it needs the whole batch"):
        list(method.make(None, method.options()).losses(step))  # type: ignore[arg-type]


def _made(setup: Setup, name: str, **options: Any) -> Supervision:
    method = SUPERVISIONS[name]
    return method.make(setup, method.options(**options))


def _softmaxes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    both = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64).softmax(2)
    return both[0], both[1]


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.5, 2.0])
def test_the_pull_of_a_class_is_the_divergences_gradient(alpha: float) -> None:
    p, q = _softmaxes()
    scores = q.log().requires_grad_()
    child = scores.softmax(1)
    total = ((p / child) ** alpha * child - child).sum() / (alpha * (alpha - 1))
    (expected,) = torch.autograd.grad(total, scores)
    wanted = pull(p, q, alpha, clip=math.inf)
    (found,) = torch.autograd.grad(-(wanted * scores.log_softmax(1)).sum(), scores)
    torch.testing.assert_close(found, expected)
    each = divergence(p, q, alpha, clip=math.inf)
    torch.testing.assert_close(each.sum(), total.detach())


def test_a_divergence_with_alpha_one_is_the_relative_entropy() -> None:
    p, q = _softmaxes()
    expected = F.kl_div(q.log(), p, reduction="none").sum(1)
    torch.testing.assert_close(divergence(p, q, 1.0, clip=math.inf), expected)


def test_chances_for_excluded_classes_are_punished_more_than_by_cross_entropy(
    small_space: SearchSpace,
) -> None:
    """The teacher is sure, the child gives both classes a half: the low alpha counts."""
    teacher = torch.tensor([[4.0, -4.0]])
    child = torch.zeros(1, 2, requires_grad=True)
    targets = torch.tensor([[0.5, 0.5]])
    gradients = []
    for name in ("in-place", "alpha-divergence"):
        method = SUPERVISIONS[name]
        made = method.make(None, method.options(label_weight=0.0))  # type: ignore[arg-type]
        _, loss = made.losses(Canned(small_space, [teacher, child], targets))
        gradients.append(torch.autograd.grad(loss, child)[0].abs().max())
    assert gradients[1] > 2 * gradients[0]


def test_ranking_pushes_pairs_in_the_wrong_order_alone(setup: Setup) -> None:
    space = setup.supernet.space
    right, wrong = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    targets = torch.tensor([[1.0, 0.0]])
    extremes = [Child(space.decode(space.smallest())), Child(space.decode(space.largest()))]
    losses = {}
    for name, scores in {"in order": [wrong, right], "not": [right, wrong]}.items():
        step = Canned(space, scores, targets)
        step.children = extremes
        step._scores = dict(zip(extremes, scores, strict=True))
        (losses[name],) = _made(setup, "ranking", margin=0.0, weight=1.0).losses(step)
    labels = F.cross_entropy(right, targets) + F.cross_entropy(wrong, targets)
    gap = F.cross_entropy(wrong, targets) - F.cross_entropy(right, targets)
    torch.testing.assert_close(losses["in order"], labels)
    torch.testing.assert_close(losses["not"], labels + gap)


def test_consistency_runs_a_child_at_two_resolutions(setup: Setup) -> None:
    space, asked = setup.supernet.space, []

    class Noted(Canned):
        def scores(self, child: Child, images: Tensor | None = None) -> Tensor:
            asked.append(child.architecture.resolution)
            return torch.zeros(4, 3, requires_grad=True)

    step = Noted(space, [torch.zeros(4, 3)] * 2, torch.full((4, 3), 1 / 3))
    assert len(list(_made(setup, "consistency").losses(step))) == 2
    assert asked == [8, 6, 8, 6]


def test_sharpness_aware_steps_leave_the_weights_where_they_were(
    train_toy: Callable[..., Any], setup: Setup
) -> None:
    """Gradients are those at the worst point; the weights themselves are the old ones."""
    net, seen = setup.supernet, []
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    child = Child(net.space.decode(net.space.largest()))
    images, targets = torch.randn(4, 1, 8, 8), torch.eye(2)[[0, 1, 0, 1]]

    class Real(Canned):
        def scores(self, child: Child, _: Tensor | None = None) -> Tensor:
            seen.append(next(net.parameters()).detach().clone())
            return net(images, child.architecture)

        def gradients(self, parameters: list[nn.Parameter]) -> list[Tensor | None]:
            return [parameter.grad for parameter in parameters]

    step = Real(net.space, [torch.zeros(4, 2)], targets)
    step.children = [child]
    for loss in _made(setup, "sharpness-aware").losses(step):
        loss.backward()
    assert len(seen) == 2 and not torch.equal(*seen)
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]), name
        parameter.grad = None
