"""Running, extracting and calibrating children."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search_spaces import load_space
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace
from supernet import Supernet


@pytest.mark.parametrize("name", ["hybrid-tiny", "hybrid-cifar", "macro"])
def test_children_of_named_spaces_equal_their_extracted_copies(name: str) -> None:
    space = load_space(name)
    supernet = Supernet(space)
    codes = [space.smallest(), space.largest(), *space.sample(2, np.random.default_rng(0))]
    with torch.no_grad():
        for code in codes:
            child = space.decode(code)
            x = torch.randn(2, 3, child.resolution, child.resolution)
            statistics = supernet.calibrate(child, [x])
            alone = supernet.extract(child, statistics)
            assert torch.equal(supernet(x, child, statistics or None), alone(x))
            assert not alone.training


def test_equal_seeds_give_equal_weights_whatever_the_global_state(space: SearchSpace) -> None:
    torch.manual_seed(5)
    first = Supernet(space, seed=3).state_dict()
    torch.manual_seed(6)
    state = torch.random.get_rng_state()
    second = Supernet(space, seed=3).state_dict()
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = Supernet(space, seed=4).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_step_touches_only_the_weights_of_its_child(space: SearchSpace) -> None:
    supernet = Supernet(space, DataShape(1, 2))
    child = space.decode(space.smallest())
    supernet(torch.randn(2, 1, 6, 6), child).sum().backward()
    touched = {name for name, p in supernet.named_parameters() if p.grad is not None}
    assert touched == set(supernet.weights_of(child))
    assert len(touched) < len(list(supernet.parameters()))


def test_a_forward_leaves_no_state_behind(batch_norm_space: SearchSpace) -> None:
    supernet = Supernet(batch_norm_space, DataShape(1, 2))
    small, large = (
        batch_norm_space.decode(code)
        for code in (batch_norm_space.smallest(), batch_norm_space.largest())
    )
    x, z = torch.randn(4, 1, 6, 6), torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        before = supernet(x, small)
        supernet(z, large)
        assert torch.equal(before, supernet(x, small))
    assert not list(supernet.buffers())


def test_batch_norm_children_use_the_batch_until_they_are_calibrated(
    batch_norm_space: SearchSpace,
) -> None:
    supernet = Supernet(batch_norm_space, DataShape(1, 2))
    child = batch_norm_space.decode(batch_norm_space.largest())
    x = torch.randn(8, 1, 8, 8) * 2 + 1
    with torch.no_grad():
        statistics = supernet.calibrate(child, [x])
        alone = supernet.extract(child, statistics)
        assert torch.equal(supernet(x[:1], child, statistics), alone(x[:1]))
        norms = [m for m in alone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    stem = norms[0]
    seen = alone.stem.body.conv(x)  # type: ignore[union-attr, operator]
    assert stem.running_mean is not None
    torch.testing.assert_close(stem.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_calibration_is_free_without_batch_norm(space: SearchSpace) -> None:
    supernet = Supernet(space, DataShape(1, 2))

    def never() -> torch.Tensor:
        raise AssertionError("no image is needed")

    child = space.decode(space.smallest())
    assert supernet.calibrate(child, (never() for _ in range(1))) == {}


def test_a_child_of_another_space_is_refused(space: SearchSpace) -> None:
    other = load_space("hybrid-tiny")
    with pytest.raises(ValueError, match=r"is not in the supernet of 'small'|does not fit"):
        Supernet(space, DataShape(1, 2))(torch.randn(1, 1, 16, 16), other.decode(other.largest()))


def test_drop_path_follows_the_callers_generator(space: SearchSpace) -> None:
    supernet = Supernet(space, DataShape(1, 2))
    child = space.decode(space.largest())
    x = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        torch.manual_seed(1)
        first = supernet(x, child, drop_path_rate=0.9)
        torch.manual_seed(1)
        assert torch.equal(first, supernet(x, child, drop_path_rate=0.9))
        assert not torch.equal(first, supernet(x, child, drop_path_rate=0.9))


def test_downsamplings_of_a_slot_keep_once_what_they_have_in_common() -> None:
    space = load_space("hybrid-cifar")
    supernet, slot = Supernet(space), "stages.1.downsampling"
    names: dict[str, set[str]] = {}
    for code in space.sample(60, np.random.default_rng(0)):
        child = space.decode(code)
        chosen = child.stages[1].downsampling
        assert chosen is not None
        own = {name for name in supernet.weights_of(child) if name.startswith(slot)}
        assert names.setdefault(chosen.kind, own) == own
    assert names.keys() == {"conv", "pool", "residual"}
    convolution, projection = names["conv"], names["pool"] & names["residual"]
    assert names["residual"] == convolution | projection
    assert projection == {f"{slot}.common.body.project.{own}" for own in ("weight", "bias")}
    assert names["pool"] - projection == {f"{slot}.pool.body.norm.{w}" for w in ("weight", "bias")}
