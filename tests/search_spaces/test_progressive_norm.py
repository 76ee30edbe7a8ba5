"""Progressive batch norm: the mixture, its schedule, and the batch norm that it becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.export.description import DataDescription
from nas.export.export import export_network
from nas.export.load import load_exported
from nas.latency.cost import CostTable, cost_of
from nas.retrain.trainer import fresh_network, retrain
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.deployment import deployed, settled
from search_spaces.network import Network, build_network
from search_spaces.progressive_norm import (
    ProgressiveBatchNorm,
    layer_share_at,
    set_layer_share,
)
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.sampling import SAMPLERS
from supernet.supervision.labels import Labels
from supernet.training.recipe import Recipe
from supernet.training.train import train
from tests.blobs import Blobs
from tests.contracts.conftest import setup_of

SPACE = """
schema: 1
name: progressive
resolution: 8
norm: {norm}
stem: [conv: {{stride: 1}}, tokens_to_token: {{stride: 4}}]
stages:
- {{width: [8, 12], depth: [1, 2], mixers: [depthwise, attention, mbconv: {{norm: batch}}],
   channel_mixers: [none, mlp]}}
- {{width: 20, depth: 1, stride: 2, downsampling: [conv, residual], mixers: [pool]}}
head: [linear, conv: {{width: 320}}]
"""


def space_of(norm: str = "batch-progressive") -> SearchSpace:
    return SearchSpace(read_definition(SPACE.format(norm=norm), "test"))


def random_norm(dim: int = 6) -> ProgressiveBatchNorm:
    norm = ProgressiveBatchNorm(dim)
    for tensor in [*norm.parameters(), norm.batch.running_mean]:
        torch.nn.init.normal_(tensor)
    torch.nn.init.uniform_(norm.batch.running_var)
    return norm


def test_the_norm_equals_its_formula_in_training_and_after() -> None:
    norm, x = random_norm().double(), torch.randn(4, 6, 3, 5, dtype=torch.float64)
    layer = F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.layer.weight, norm.layer.bias, 1e-6)
    for training in (True, False):
        norm.train(training)
        mean, variance = norm.batch.running_mean, norm.batch.running_var
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        scaled = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        own = scaled * norm.batch.weight[:, None, None] + norm.batch.bias[:, None, None]
        for share in (1.0, 0.3, 0.0):
            set_layer_share(norm, share)
            expected = share * layer.permute(0, 3, 1, 2) + (1 - share) * (own + norm.straight * x)
            kept = norm.batch.running_mean.clone(), norm.batch.running_var.clone()
            torch.testing.assert_close(norm(x), expected)
            norm.batch.running_mean, norm.batch.running_var = kept


def test_a_settled_norm_computes_the_same() -> None:
    norm, x = random_norm().double().eval(), torch.randn(4, 6, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(norm.settled().eval()(x), norm(x))


def test_the_share_of_layer_norm_falls_from_one_to_zero_before_the_end() -> None:
    shares = [layer_share_at(step, 1000) for step in range(1000)]
    assert shares[0] > 0.99
    assert shares == sorted(shares, reverse=True)
    assert shares[399] == pytest.approx(0.5)
    assert set(shares[799:]) == {0.0}
    assert [layer_share_at(steps - 1, steps) for steps in (1, 2, 3, 7)] == [0.0] * 4


def statistics_of(network: Network) -> Network:
    for name, tensor in network.named_buffers():
        if name.endswith("var"):
            torch.nn.init.uniform_(tensor)
        elif name.endswith("mean"):
            torch.nn.init.normal_(tensor)
    return network.eval()


def test_a_settled_network_has_batch_norm_and_equal_scores() -> None:
    space = space_of()
    for code in space.sample(8, np.random.default_rng(0)):
        architecture = space.decode(code)
        network = statistics_of(build_network(architecture, DataShape(1, 3))).double()
        plain = settled(network)
        assert plain.architecture == replace(architecture, norm="batch")
        assert not any(isinstance(m, ProgressiveBatchNorm) for m in plain.modules())
        x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(plain(x), network(x))


def test_a_network_of_another_norm_is_settled_as_it_is() -> None:
    architecture = space_of("layer").decode(space_of("layer").largest())
    network = build_network(architecture)
    assert settled(network) is network
    assert deployed(architecture) is architecture


def test_costs_are_those_of_batch_norm() -> None:
    trained, plain = space_of(), space_of("batch")
    shape = DataShape(3, 5)
    codes = trained.sample(12, np.random.default_rng(1))
    tables = [CostTable(space, shape) for space in (trained, plain)]
    for count in ("macs", "params", "memory_mib"):
        own, other = (getattr(table, count)(codes) for table in tables)
        np.testing.assert_array_equal(own, other)
    architecture = trained.decode(codes[0])
    parameters = build_network(deployed(architecture), shape).parameters()
    assert cost_of(architecture, shape).params == sum(p.numel() for p in parameters)


def test_an_export_holds_the_settled_network(tmp_path: Path) -> None:
    space = space_of()
    network = statistics_of(build_network(space.decode(space.largest()), DataShape(3, 3)))
    data = DataDescription("shapes", ("a", "b", "c"), 3, (0.5,) * 3, (0.2,) * 3, 255.0)
    export_network(network, tmp_path / "net", data=data, scores={}, formats=("timm", "pt2"))
    loaded = load_exported(tmp_path / "net")
    assert loaded.architecture.norm == "batch"
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_child_equals_its_copy_at_every_stage_of_the_training() -> None:
    space = space_of()
    supernet = Supernet(space, DataShape(2, 3), seed=1).double()
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    for share in (1.0, 0.4, 0.0):
        set_layer_share(supernet, share)
        for code in space.sample(4, np.random.default_rng(2)):
            child = space.decode(code)
            statistics = supernet.calibrate(child, [x])
            with torch.no_grad():
                scores = supernet(x, child, statistics)
                alone = supernet.extract(child, statistics)(x)
            torch.testing.assert_close(scores, alone, rtol=0, atol=1e-12)


def test_training_moves_a_supernet_and_a_network_from_layer_norm_to_batch_norm() -> None:
    space = space_of()
    setup = setup_of(space)
    supernet, shares = setup.supernet, list[float]()
    sampler = SAMPLERS["sandwich"]
    recipe = Recipe(epochs=5, batch_size=8, learning_rate=1e-2)
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    curve = train(
        supernet,
        Blobs(steps=2),
        recipe,
        sampler.make(setup, sampler.options()),
        Labels(),
        progress=lambda now: shares.append(supernet.layer_share),
    )
    assert shares == pytest.approx([layer_share_at(step, 10) for step in range(10)])
    assert all(np.isfinite(entry["loss"]) for entry in curve)
    moved = {n for n, p in supernet.named_parameters() if not torch.equal(p, before[n])}
    for kind in ("norm.layer.weight", "norm.batch.weight", "norm.straight"):
        assert any(name.endswith(kind) for name in moved)

    network = fresh_network(space.decode(space.largest()), DataShape(1, 2), seed=0)
    retrain(network, Blobs(steps=2), recipe)
    norms = [m for m in network.modules() if isinstance(m, ProgressiveBatchNorm)]
    assert norms
    assert {norm.layer_share for norm in norms} == {0.0}
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(settled(network)(x), network(x), rtol=1e-3, atol=1e-3)
