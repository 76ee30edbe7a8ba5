"""Losses and gradients of children: against numerical derivatives in double precision."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.search.gradients.supernet_gradients import SupernetGradients
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.parts import parts_of
from search_spaces.space import SearchSpace
from supernet.slicing import view
from supernet.supernet import Supernet

TEXT = """
schema: 1
name: small
norm: {norm}
resolution: [6, 8]
stem: [conv: {{stride: [2, 1]}}]
stages:
- width: [8, 12]
  depth: [1, 2, 3]
  mixers: [depthwise: {{kernel: [3, 5]}}, pool, attention]
  channel_mixers: [none, mlp: {{ratio: [1, 2]}}]
- {{width: [12, 20], depth: 1, stride: 2, downsampling: [conv, pool], mixers: [pool, linear]}}
"""
STEP = 1e-5


class Batch(NamedTuple):
    """Images and target probabilities."""

    images: torch.Tensor
    targets: torch.Tensor


def batches(step: int, batch_size: int, resolution: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(
        batch_size, 1, resolution, resolution, generator=generator, dtype=torch.float64
    )
    labels = torch.randint(0, 2, (batch_size,), generator=generator)
    return Batch(images, F.one_hot(labels, 2).double())


def gradients_of(norm: str = "layer") -> SupernetGradients:
    """SupernetGradients on weights far from their start, so that branches matter."""
    space = SearchSpace(read_definition(TEXT.format(norm=norm), "test"))
    supernet = Supernet(space, DataShape(1, 2)).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in supernet.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.2 * noise)
    return SupernetGradients(space, supernet, batches, batch_size=5)


@pytest.fixture(scope="module")
def gradients() -> SupernetGradients:
    return gradients_of()


@pytest.fixture(scope="module")
def codes(gradients: SupernetGradients):
    """The largest child, the smallest and two between."""
    drawn = gradients.space.sample(2, np.random.default_rng(1))
    return np.stack([gradients.space.largest(), gradients.space.smallest(), *drawn])


def changed(space: SearchSpace, code, gene: int, choice: int):
    other = code.copy()
    other[gene] = choice
    return space.canonical(other[None])[0]


def mixed_loss(gradients: SupernetGradients, code, other, share: float, step: int) -> float:
    """The loss with `share` of another child's parts in the slots where the two differ."""
    net, space = gradients.supernet, gradients.space
    own, others = (parts_of(space.decode(c), net.data_shape) for c in (code, other))
    images, targets = batches(step, 5, space.decode(code).resolution)
    x = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for slot in space.part_index(net.data_shape).slots:
            p, q = own.get(slot.name), others.get(slot.name)
            y = x if p is None else net.run_part(slot.name, p, x)
            if p != q:
                z = x if q is None else net.run_part(slot.name, q, x)
                y = y + share * (z - y)
            x = y
    return float(F.cross_entropy(x, targets))


def test_a_loss_is_that_of_the_extracted_network(gradients: SupernetGradients, codes) -> None:
    for code in codes:
        architecture = gradients.space.decode(code)
        images, targets = batches(7, 5, architecture.resolution)
        network = gradients.supernet.extract(architecture)
        expected = F.cross_entropy(network(images), targets)
        torch.testing.assert_close(gradients.loss(architecture, 7), expected)
        assert gradients.losses(code[None], 7)[0] == pytest.approx(float(expected.detach()))


def test_a_slope_is_the_derivative_of_a_mixture(gradients: SupernetGradients, codes) -> None:
    compared = 0
    for code in codes:
        rows = gradients.slopes(code, 2)
        for gene, row in enumerate(rows):
            for choice in np.flatnonzero(~np.isnan(row)):
                other = changed(gradients.space, code, gene, int(choice))
                up, down = (mixed_loss(gradients, code, other, s, 2) for s in (STEP, -STEP))
                assert row[choice] == pytest.approx((up - down) / (2 * STEP), abs=1e-7)
                compared += choice != code[gene]
    assert compared == 61


def test_slopes_are_unknown_where_maps_change_shape_or_genes_sleep(
    gradients: SupernetGradients, codes
) -> None:
    for code in codes:
        active = gradients.space.active(code[None])[0]
        rows = zip(gradients.space.genes, gradients.slopes(code, 0), strict=True)
        for i, (gene, row) in enumerate(rows):
            unknown = np.isnan(row)
            shapes = gene.role in ("resolution", "stem", "width") and gene.cardinality > 1
            expected = np.arange(gene.cardinality) != code[i] if shapes else not active[i]
            np.testing.assert_array_equal(unknown, np.broadcast_to(expected, unknown.shape))


def test_a_taylor_term_is_the_derivative_of_fading_weights(
    gradients: SupernetGradients, codes
) -> None:
    compared = 0
    for code in codes[::2]:
        own = gradients.supernet.weights_of(gradients.space.decode(code))
        for gene, row in enumerate(gradients.taylor(code, 4)):
            for choice in np.flatnonzero(~np.isnan(row)):
                if choice == code[gene]:
                    assert row[choice] == 0
                    continue
                other = changed(gradients.space, code, gene, int(choice))
                kept = gradients.supernet.weights_of(gradients.space.decode(other))
                up, down = (faded_loss(gradients, code, own, kept, s) for s in (STEP, -STEP))
                assert row[choice] == pytest.approx((up - down) / (2 * STEP), abs=1e-6)
                compared += 1
    assert compared == 19


def faded_loss(gradients: SupernetGradients, code, own, kept, share: float) -> float:
    """The loss with the weights that `own` has and `kept` has not taken down by `share`."""
    supernet = copy.deepcopy(gradients.supernet)
    parameters = dict(supernet.named_parameters())
    with torch.no_grad():
        for name, cut in own.items():
            dropped = torch.zeros_like(parameters[name])
            view(dropped, cut).fill_(1.0)
            if name in kept:
                view(dropped, kept[name]).fill_(0.0)
            parameters[name].mul_(1.0 - share * dropped)
    faded = SupernetGradients(gradients.space, supernet, batches, batch_size=5)
    return float(faded.losses(code[None], 4)[0])


def test_taylor_is_unknown_for_choices_that_have_weights_of_their_own(
    gradients: SupernetGradients, codes
) -> None:
    largest = codes[0]
    genes = {gene.name: i for i, gene in enumerate(gradients.space.genes)}
    rows = gradients.taylor(largest, 0)
    kernel = rows[genes["stages.0.blocks.0.mixer"]]
    np.testing.assert_array_equal(np.isnan(kernel), [False, False, True, True])
    assert np.isnan(rows[genes["resolution"]][0])
    assert not np.isnan(rows[genes["stages.0.width"]]).any()
    assert not np.isnan(rows[genes["stages.0.depth"]]).any()


def test_differences_are_those_of_whole_children(gradients: SupernetGradients, codes) -> None:
    code = codes[2]
    for gene, choices in enumerate(gradients.space.cardinalities):
        if gradients.space.active(code[None])[0, gene]:
            others = [changed(gradients.space, code, gene, c) for c in range(choices)]
            expected = gradients.losses(np.stack(others), 5) - gradients.losses(code[None], 5)
            np.testing.assert_allclose(gradients.differences(code, gene, 5), expected)


def test_changes_try_other_genes_each_step_until_all_are_known(
    gradients: SupernetGradients, codes
) -> None:
    code = codes[0]
    known = [gradients.changes(code, step, exact=2) for step in range(2)]
    for step, rows in enumerate(known):
        slopes = gradients.slopes(code, step)
        tried = [
            i for i, row in enumerate(rows) if np.isnan(slopes[i]).any() > np.isnan(row).any()
        ]
        assert len(tried) == 2
    seen = [~np.isnan(a) | ~np.isnan(b) for a, b in zip(*known, strict=True)]
    assert np.concatenate(seen).all()


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_taking_gradients_leaves_no_trace(norm: str) -> None:
    gradients = gradients_of(norm)
    code = gradients.space.largest()
    parameters = list(gradients.supernet.parameters())
    before = [p.detach().clone() for p in parameters]
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    results = []
    for draws in (1, 2):
        torch.rand(draws)
        state = torch.get_rng_state()
        results.append(np.concatenate([*gradients.changes(code, 3), *gradients.taylor(code, 3)]))
        assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(*results)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    assert all(p.grad is None for p in parameters)


def test_a_part_of_the_supernets_space_can_be_learnt_from(gradients: SupernetGradients) -> None:
    part = SupernetGradients(
        gradients.space.restrict(8), gradients.supernet, batches, batch_size=5
    )
    code = part.space.largest()
    whole = gradients.space.encode(part.space.decode(code))
    for mine, theirs in zip(part.slopes(code, 1)[1:], gradients.slopes(whole, 1)[1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
