"""The space `macro` is NAS-Bench-Macro as published.

Parameter counts are those of the table of xiusu/NAS-Bench-Macro (nas_bench_macro_cifar10.csv).
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import SearchSpace, build_network, load_space
from search_spaces.data_shape import DataShape

PUBLISHED = {
    "00000000": 387_882,
    "00000002": 1_219_370,
    "00000100": 507_562,
    "00000200": 672_298,
    "00100000": 419_050,
    "00200000": 464_554,
    "01201201": 1_283_434,
    "10000000": 396_298,
    "11111111": 1_588_874,
    "12012012": 2_014_602,
    "20000000": 409_834,
    "21021021": 1_994_922,
    "22211000": 754_026,
    "22222222": 2_932_586,
}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load_space("macro")


def codes_of(space: SearchSpace, words: list[str]) -> np.ndarray:
    """Codes of architectures that are written as one digit for each layer."""
    codes = np.zeros((len(words), space.num_genes), dtype=np.int16)
    layers = [i for i, gene in enumerate(space.genes) if gene.role == "mixer"]
    codes[:, layers] = [[int(digit) for digit in word] for word in words]
    assert space.contains(codes).all()
    return codes


def test_it_has_three_choices_for_each_of_eight_layers(space: SearchSpace) -> None:
    assert space.size() == 6561
    layers = [gene for gene in space.genes if gene.cardinality > 1]
    assert len(layers) == 8
    for gene in layers:
        assert gene.kinds == ("identity", "mbconv", "mbconv")
        shapes = [(c.options.kernel, c.options.expand) for c in gene.choices[1:]]
        assert shapes == [(3, 3), (5, 6)]


def test_its_stages_have_two_three_and_three_layers(space: SearchSpace) -> None:
    architecture = space.decode(space.largest())
    assert [len(stage.blocks) for stage in architecture.stages] == [2, 3, 3]
    assert [stage.width for stage in architecture.stages] == [64, 128, 256]
    network = build_network(architecture)
    sides = []
    for name, module in network.named_modules():
        if name.endswith(".mixer"):
            module.register_forward_hook(lambda _, args, y: sides.append(y.shape[2]))
    network(torch.randn(2, 3, 32, 32))
    assert sides == [16, 16, 8, 8, 8, 4, 4, 4]


@pytest.mark.parametrize("word", PUBLISHED)
def test_a_network_has_the_published_number_of_parameters(space: SearchSpace, word: str) -> None:
    architecture = space.decode(codes_of(space, [word])[0])
    with torch.device("meta"):
        network = build_network(architecture, DataShape(3, 10))
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[word]


def test_every_architecture_has_the_published_number_of_parameters(space: SearchSpace) -> None:
    default = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("NAS_TEST_DATA", default))
    table = folder / "nas_tables" / "nas_bench_macro_cifar10.csv.gz"
    if not table.exists():
        pytest.skip(f"no {table}; set NAS_TEST_DATA to the folder that holds nas_tables")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(table.read_bytes()).decode())))
    assert len(rows) == 6561
    index = space.part_index(DataShape(3, 10))
    counts = np.zeros(len(index.parts))
    with torch.device("meta"):
        for i, part in enumerate(index.parts):
            counts[i] = sum(p.numel() for p in part.build().parameters()) if part else 0
    codes = codes_of(space, [row["arch"] for row in rows])
    expected = [int(row["params"]) for row in rows]
    np.testing.assert_array_equal(index.sums(codes, counts), expected)
