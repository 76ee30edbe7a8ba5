"""What training and scoring promise on a GPU; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import load_data
from nas.data.augment import Augmentation
from nas.data.batches import TrainBatches
from nas.retrain import fresh_network, score_test, score_validation
from search_spaces import load_space
from search_spaces.data_shape import DataShape
from search_spaces.family import MIXERS, Family
from supernet import Supernet
from supernet.method import Setup, choose
from supernet.sampling import SAMPLERS
from supernet.supervision import SUPERVISIONS
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe
from supernet.training.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
CUDA = torch.device("cuda")


def _step(model: nn.Module, state: Optimisation) -> None:
    model(torch.ones(4, 3, device=CUDA)).square().sum().backward()
    state.step()


def test_training_continues_from_a_checkpoint_as_if_it_had_not_stopped() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(CUDA)
    state = Optimisation(dict(model.named_parameters()), Recipe(), steps=20)
    for _ in range(3):
        _step(model, state)
    kept, _ = from_bytes(to_bytes(state.state(), {}), "the test")
    again = nn.Linear(3, 2).to(CUDA)
    continued = Optimisation(dict(again.named_parameters()), Recipe(), steps=20)
    continued.load(kept, state.step_number)
    for _ in range(3):
        _step(model, state)
        _step(again, continued)
    assert torch.equal(again.weight, model.weight)


def test_scores_on_the_gpu_are_those_of_the_processor() -> None:
    data, space = load_data("digits", seed=0), load_space("hybrid-tiny")
    network = fresh_network(space.decode(space.largest()), DataShape(1, 10), seed=0).eval()
    expected = score_validation(network, data)
    found = score_validation(network.to(CUDA), data)
    assert found.loss == pytest.approx(expected.loss, rel=1e-2)
    assert np.isfinite(score_test(network, data).accuracy)


def test_a_supernet_trains_and_its_children_run_on_its_gpu() -> None:
    data, space = load_data("digits", seed=0), load_space("hybrid-tiny")
    batches = TrainBatches(data.train, data.normalisation, Augmentation(), 10)
    supernet = Supernet(space, DataShape(1, 10)).to(CUDA)
    setup = Setup(supernet, lambda codes: np.zeros(len(codes)))
    sampler, supervision = (
        choose(registry, name, {}).make(setup)
        for registry, name in ((SAMPLERS, "sandwich"), (SUPERVISIONS, "in-place"))
    )
    recipe = Recipe(epochs=1, batch_size=128)
    curve = train(supernet, batches, recipe, sampler, supervision)
    assert np.isfinite(curve[0]["loss"])
    child = space.decode(space.largest())
    subnet, x = supernet.extract(child), torch.randn(8, 1, 12, 12, device=CUDA)
    x = torch.nn.functional.interpolate(x, (child.resolution, child.resolution))
    with torch.no_grad():
        torch.testing.assert_close(supernet(x, child), subnet(x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("family", MIXERS, ids=lambda family: family.name)
def test_gradients_of_a_mixer_are_those_of_the_processor(family: Family) -> None:
    torch.manual_seed(0)
    module = family.module(32, family.options()).double()
    x = torch.randn(2, 32, 7, 9, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    slopes = []
    for device in (torch.device("cpu"), CUDA):
        image = x.to(device).requires_grad_()
        (slope,) = torch.autograd.grad(module.to(device)(image).square().sum(), image)
        slopes.append(slope.cpu())
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-6)
