"""Parts are traced once and kept; what follows from a trace agrees with another trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.latency import part_work
from nas.latency.gpu.fusion import launches_of
from nas.latency.gpu.launches import rows_of
from nas.latency.part_work import FUSIONS, Conditions, WholeNetwork, part_operations
from nas.latency.tracing.operations import Operation, peak_activation_bytes
from nas.latency.tracing.trace import trace
from search_spaces import load_space
from search_spaces.architecture import Choice
from search_spaces.data_shape import DataShape
from search_spaces.family import MIXERS, Family, Options
from search_spaces.parts import Part


class Counting:
    """A tracer that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> list[Operation]:
        self.calls += 1
        return trace(*arguments, **named)


@pytest.fixture
def tracer() -> Counting:
    return Counting()


def _parts(name: str = "hybrid-tiny", most: int = 40) -> list[Part]:
    parts = [part for part in load_space(name).part_index().parts if part is not None]
    drawn = np.random.default_rng(0).permutation(len(parts))[:most]
    return [parts[i] for i in drawn]


def _same(first: Sequence[NDArray[Any]], second: Sequence[NDArray[Any]]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def test_costs_and_launches_of_all_runtimes_take_one_trace(tracer: Counting) -> None:
    parts = _parts()
    part_work.costs(parts, tracer)
    for fusion in FUSIONS:
        part_work.launches(parts, fusion, Conditions(), tracer)
    assert tracer.calls == len(parts)


def test_a_second_time_gives_the_same_without_a_trace(tracer: Counting) -> None:
    parts = _parts()
    first = part_work.launches(parts, "compile", Conditions(batch_size=8))
    assert _same(part_work.launches(parts, "compile", Conditions(batch_size=8), tracer), first)
    part_work.costs(parts, tracer)  # from the trace at batch 1
    assert tracer.calls == 0


def test_a_space_traces_only_parts_that_no_other_had(tracer: Counting) -> None:
    parts = _parts()
    part_work.costs(parts[:-3])
    part_work.costs(parts, tracer)
    assert tracer.calls == 3


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", ["hybrid-tiny", "hybrid-cifar"])
def test_launches_at_a_batch_are_those_of_a_trace_there(name: str, fusion: Any) -> None:
    parts = _parts(name, 80)
    found = part_work.launches(parts, fusion, Conditions(batch_size=7))
    direct = [
        rows_of(launches_of(trace(p.build(), p.input_shape(7), precision="fp16"), fusion))
        for p in parts
    ]
    assert _same(found, direct)


def test_another_batch_needs_few_traces(tracer: Counting) -> None:
    parts = _parts(most=60)
    part_work.launches(parts, "none", Conditions(batch_size=8))
    part_work.launches(parts, "none", Conditions(batch_size=32), tracer)
    assert tracer.calls < 0.3 * len(parts)


@pytest.mark.parametrize("name", ["hybrid-tiny", "hybrid-cifar", "macro"])
def test_memory_in_single_precision_is_that_of_a_trace_in_it(name: str) -> None:
    parts = _parts(name, 80)
    memory = part_work.costs(parts)[:, 2]
    assert memory.tolist() == [peak_activation_bytes(part_operations(part)[1]) for part in parts]


def test_a_damaged_cache_is_made_anew(cache: Path) -> None:
    parts = _parts(most=5)
    first = part_work.costs(parts)
    (path,) = (cache / "latency").glob("*.sqlite")
    path.write_bytes(b"damaged")
    assert np.array_equal(part_work.costs(parts), first)
    assert path.read_bytes().startswith(b"SQLite")


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracer: Counting
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "file"))
    parts = _parts(most=5)
    assert (part_work.costs(parts, tracer)[:, 1] >= 0).all()
    assert tracer.calls == 5


def test_a_network_is_kept_like_a_part(tracer: Counting) -> None:
    space = load_space("macro")
    networks = [WholeNetwork(space.decode(space.largest()), DataShape(3, 10))]
    first = part_work.launches(networks, "compile", Conditions())
    assert _same(part_work.launches(networks, "compile", Conditions(), tracer), first)
    assert tracer.calls == 0
    other = part_work.launches(
        [dataclasses.replace(networks[0], data_shape=DataShape(3, 7))], "compile", Conditions()
    )
    assert not _same(other, first)


class Grouped(nn.Module):
    """Convolutions in groups of three channels, then depthwise ones."""

    def __init__(self, dim: int, options: Options) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(dim, dim, 3, padding=1, groups=dim // 3)
        self.depthwise = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.depthwise(self.grouped(x))
        return y


@pytest.fixture
def grouped() -> Iterator[Part]:
    family = Family("grouped-test", Options, Grouped, "https://example.org", nested=())
    MIXERS.register(family)
    yield Part("mixer", Choice(family.name, Options()), 48, 48, 7, 1, "layer")
    del MIXERS._entries[family.name]


def test_macs_count_grouped_and_depthwise_convolutions_as_torch_does(grouped: Part) -> None:
    with FlopCounterMode(display=False) as counter:
        grouped.build()(Tensor(*grouped.input_shape(1)))
    assert part_work.costs([grouped])[0, 0] == counter.get_total_flops() // 2
