from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from nas.retrain import fresh_network, retrain
from search_spaces import Architecture, Network
from search_spaces.data_shape import DataShape
from supernet.batches import TrainingData
from supernet.calibration import calibrate
from supernet.supervision import Step, Supervision
from supernet.training.loop import Checkpoints, TrainingProgress
from supernet.training.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=1e-2, drop_path=0.2, ema_decay=0.9)


def trained(architecture: Architecture, data: TrainingData, recipe: Recipe = RECIPE) -> Network:
    network = fresh_network(architecture, DataShape(1, 3), seed=1)
    retrain(network, data, recipe, seed=7)
    return network


def assert_equal(one: Network, other: Network) -> None:
    others = other.state_dict()
    for name, value in one.state_dict().items():
        assert torch.equal(value, others[name]), name


def test_training_lowers_the_loss_and_tells_it_by_epoch(
    architecture: Architecture, data: TrainingData
) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=1)
    curve = retrain(network, data, RECIPE.model_copy(update={"epochs": 20}), seed=0)
    assert [entry["epoch"] for entry in curve] == list(range(1, 21))
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert not network.training


def test_the_global_generator_changes_nothing_and_is_left_alone(
    architecture: Architecture, data: TrainingData
) -> None:
    torch.manual_seed(1)
    one = trained(architecture, data)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = trained(architecture, data)
    assert torch.equal(before, torch.get_rng_state())
    assert_equal(one, other)


def test_another_seed_drops_other_paths(architecture: Architecture, data: TrainingData) -> None:
    one, other = trained(architecture, data), fresh_network(architecture, DataShape(1, 3), seed=1)
    retrain(other, data, RECIPE, seed=8)
    assert any(
        not torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True)
    )


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_a_resumed_training_equals_the_uninterrupted_one_to_the_bit(
    architecture: Architecture, data: TrainingData, stop: int
) -> None:
    kept: list[bytes] = []
    checkpoints = Checkpoints(
        "this network", lambda: kept[-1] if kept else None, kept.append, seconds=0
    )

    def halt(progress: TrainingProgress) -> None:
        if progress.step == stop + 1:
            raise Stopped

    def validate(network: Network) -> dict[str, float]:
        assert not network.training
        x = data.batch(99, 8, 8).images
        return {"sum": float(network(x).sum())}

    whole = fresh_network(architecture, DataShape(1, 3), seed=1)
    curve = retrain(whole, data, RECIPE, seed=7, validate=validate)
    cut = fresh_network(architecture, DataShape(1, 3), seed=1)
    with pytest.raises(Stopped):
        retrain(
            cut, data, RECIPE, seed=7, validate=validate, checkpoints=checkpoints, progress=halt
        )
    resumed = fresh_network(architecture, DataShape(1, 3), seed=2)
    resumed_curve = retrain(
        resumed, data, RECIPE, seed=7, validate=validate, checkpoints=checkpoints
    )
    assert_equal(whole, resumed)
    assert resumed_curve == curve


def test_validating_does_not_change_what_is_learnt(
    architecture: Architecture, data: TrainingData
) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=1)
    retrain(network, data, RECIPE, seed=7, validate=lambda net: {"one": 1.0})
    assert_equal(network, trained(architecture, data))


@pytest.mark.parametrize("architecture", ["batch"], indirect=True)
def test_batch_norm_statistics_are_those_of_the_averaged_weights(
    architecture: Architecture, data: TrainingData
) -> None:
    network = trained(architecture, data)
    # With the statistics of exactly one batch, eval mode gives what train mode gives on it.
    x = data.batch(0, 16, 8).images
    calibrate(network, [x])
    evaluated = network(x)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 6 and {norm.momentum for norm in norms} == {0.1}
    network.train()
    # Running variances are unbiased, a batch's own is not: n / (n - 1), n = 16 * 16 positions.
    torch.testing.assert_close(evaluated, network(x), rtol=0.02, atol=0.02)


class AlwaysFirst(Supervision):
    """A teacher that calls everything the first class, and counts the images it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def losses(self, step: Step) -> Iterator[torch.Tensor]:
        (child,) = step.children
        assert list(step.maps(child)) == list(step.maps(child))
        self.asked.append(len(step.batch(child).images))
        first = torch.zeros(self.asked[-1], dtype=torch.long)
        yield torch.nn.functional.cross_entropy(step.scores(child), first)


def test_a_network_can_be_taught_otherwise(architecture: Architecture, data: TrainingData) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=1)
    recipe = RECIPE.model_copy(update={"epochs": 8, "learning_rate": 0.05})
    teacher = AlwaysFirst()
    retrain(network, data, recipe, seed=0, supervision=teacher)
    assert teacher.asked == [16] * 32
    answers = network(data.batch(50, 32, 8).images).argmax(dim=1)
    assert answers.tolist() == [0] * 32  # whatever the labels say


def test_the_parts_maps_end_in_the_networks_own_scores(
    architecture: Architecture, data: TrainingData
) -> None:
    network = fresh_network(architecture, DataShape(1, 3), seed=1).train()
    x = data.batch(0, 8, 8).images
    seen: list[torch.Tensor] = []

    class Compared(Supervision):
        def losses(self, step: Step) -> Iterator[torch.Tensor]:
            maps = step.maps(step.children[0])
            assert tuple(maps) == network.part_names
            seen.append(list(maps.values())[-1].detach())
            yield seen[-1].sum() + 0 * next(iter(maps.values())).sum()

    recipe = Recipe(epochs=1, batch_size=8, drop_path=0.0, learning_rate=1e-12)
    with torch.no_grad():
        expected = network(x)
    retrain(network, data, recipe, supervision=Compared())
    torch.testing.assert_close(seen[0], expected)


def test_equal_seeds_give_equal_fresh_networks(architecture: Architecture) -> None:
    torch.manual_seed(3)
    one = fresh_network(architecture, DataShape(1, 3), seed=5)
    torch.manual_seed(4)
    assert_equal(one, fresh_network(architecture, DataShape(1, 3), seed=5))
    weight = next(fresh_network(architecture, DataShape(1, 3), seed=6).parameters())
    assert not torch.equal(weight, next(one.parameters()))
