"""Counted costs: torch's on whole networks, the published ones of NAS-Bench-Macro."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.latency import CostTable, cost_of, trace
from nas.latency.tracing.operations import peak_activation_bytes
from search_spaces.data_shape import DataShape
from search_spaces.network import build_network
from search_spaces.space import load_space

PUBLISHED = [
    # arch, params, flops: rows of NAS-Bench-Macro's table of all 6,561 networks on CIFAR-10
    # (Su et al. 2021, https://github.com/xiusu/NAS-Bench-Macro); its "flops" are
    # multiply-accumulates of convolutions and the classifier, norms and pooling count nothing.
    ("00000000", 387882, 7713280),
    ("00000001", 791594, 14115328),
    ("00000002", 1219370, 20910592),
    ("00000010", 791594, 14115328),
    ("11111111", 1588874, 53246464),
    ("22222222", 2932586, 105660928),
]


@pytest.mark.parametrize(("name", "params", "flops"), PUBLISHED)
def test_published_costs_of_nas_bench_macro_are_met(name: str, params: int, flops: int) -> None:
    space = load_space("macro")
    code = space.largest()
    mixers = [i for i, gene in enumerate(space.genes) if gene.name.endswith(".mixer")]
    code[mixers] = [int(digit) for digit in name]
    cost = cost_of(space.decode(code))
    assert (cost.params, cost.macs) == (params, flops)


@pytest.mark.parametrize("name", ["hybrid-tiny", "hybrid-cifar", "macro"])
def test_costs_of_whole_networks_are_those_that_torch_counts(name: str) -> None:
    space = load_space(name)
    for code in space.sample(3, np.random.default_rng(7)):
        architecture = space.decode(code)
        network = build_network(architecture, DataShape(1, 7)).eval()
        params = sum(p.numel() for p in network.parameters())
        side = architecture.resolution
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.to("meta")(torch.empty(1, 1, side, side, device="meta"))
        cost = cost_of(architecture, DataShape(1, 7))
        assert (cost.macs, cost.params) == (counter.get_total_flops() // 2, params)


def test_a_table_says_what_single_networks_say() -> None:
    space = load_space("macro")
    table = CostTable(space)
    codes = space.sample(20, np.random.default_rng(1))
    costs = [cost_of(space.decode(code)) for code in codes]
    assert table.macs(codes).tolist() == [cost.macs for cost in costs]
    assert table.params(codes).tolist() == [cost.params for cost in costs]
    assert table.memory_mib(codes).tolist() == [cost.memory_mib for cost in costs]
    assert (table.memory_mib(codes, 4) == 4 * table.memory_mib(codes)).all()


def test_memory_of_a_network_is_that_of_its_greatest_part() -> None:
    space = load_space("hybrid-tiny")
    architecture = space.decode(space.smallest())
    side = architecture.resolution
    operations = trace(build_network(architecture), (1, 3, side, side))
    peak = peak_activation_bytes(operations) / 2**20
    assert cost_of(architecture).memory_mib == pytest.approx(peak, rel=0.02)
