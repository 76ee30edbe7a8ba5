"""Published measurements, and what the networks in them launch.

`public/README.md` says where each row is from and under which conditions it was measured. Each
network is traced at two batch sizes; its launches at all others follow, because every size of a
launch is linear in the batch. Traces are kept in the cache.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.environment import version
from nas.latency.gpu.fusion import Fusion, compiled_layout, launches_of
from nas.latency.gpu.launches import Launch, Launches
from nas.latency.tracing.operations import Layout, Operation, Precision
from nas.latency.tracing.trace import trace
from nas.storage import atomic_write, cache_dir

BATCHES = ((8, 16), (11, 13))
"""Pairs of batch sizes to trace at. If two sizes of a network happen to be equal at one of them,
it seems to launch something else there, and the next pair is tried."""
_ENGINES: tuple[Fusion, ...] = ("none", "engine", "handwritten")
_TRACED = {"tf32": "fp32"}


class Key(NamedTuple):
    """All that decides what a network launches, except the batch."""

    network: str
    resolution: int
    precision: str
    layout: str
    variant: str
    """plain, math-attention (products and a softmax) or reparameterised (branches folded)"""


@dataclass(frozen=True)
class Measured:
    """One published time."""

    source: str
    name: str
    """The network, or the kind of a single launch."""
    family: str
    device: str
    precision: str
    runtime: str
    batch_size: int
    ms: float
    launches: Launches

    @property
    def is_launch(self) -> bool:
        """Whether a single launch was measured and not a network."""
        return self.runtime == "kernel"


@dataclass(frozen=True)
class Traced:
    """Distinct launches of a network at two batch sizes, and how often each happens."""

    kinds: tuple[str, ...]
    batches: tuple[int, int]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.float64]

    def at(self, batch_size: int) -> Launches:
        """Its launches at a batch size."""
        first, second = self.batches
        per_image = (self.high - self.low) / (second - first)
        sizes = self.low + per_image * (batch_size - first)
        return Launches(self.kinds, sizes, self.counts)


def launches() -> Iterator[Measured]:
    """All published times of single launches."""
    for row in _rows("kernels.csv"):
        groups, m, n, k = (float(row[name]) for name in ("groups", "m", "n", "k"))
        size = 2 if row["precision"] in ("fp16", "bf16") else 4
        if n:
            flops = 2 * groups * m * n * k
            read, written = size * groups * (m * k + k * n), size * groups * m * n
            launch = Launch(row["kind"], flops, read, written, groups, m, n, k)
        else:
            launch = Launch(row["kind"], 0, size * m * k, size * m)
        yield Measured(
            row["source"],
            *(row["kind"], "kernel", row["device"], row["precision"], "kernel", 1),
            float(row["ms"]),
            Launches.of([launch]),
        )


def networks(rows: Iterable[tuple[dict[str, str], Traced]]) -> Iterator[Measured]:
    """Published networks with what they launch."""
    from nas.timm_library import family_of

    for row, traced in rows:
        batch = int(row["batch_size"])
        yield Measured(
            row["source"],
            row["network"],
            family_of(row["network"]),
            *(row["device"], row["precision"], row["runtime"], batch),
            float(row["ms"]),
            traced.at(batch),
        )


def table() -> list[dict[str, str]]:
    """The rows of published networks, as text."""
    return list(_rows("networks.csv.gz"))


def key_of(row: dict[str, str]) -> Key:
    """What has to be traced for a row."""
    precision = _TRACED.get(row["precision"], row["precision"])
    return Key(row["network"], int(row["resolution"]), precision, row["layout"], row["variant"])


def traced(key: Key, fusion: Fusion) -> Traced | None:
    """What a network launches, from the cache or traced now; None where it cannot be traced."""
    folder = cache_dir() / "gpu-traces" / f"timm-{version('timm')}"
    path = folder / f"{'_'.join(map(str, key))}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if fusion not in known:
        known = _trace(key)
        atomic_write(path, json.dumps(known))
    found = known[fusion]
    if found is None:
        return None
    low, high = (np.array(found[name], dtype=np.float64) for name in ("low", "high"))
    counts = np.array(found["counts"], dtype=np.float64)
    first, second = found["batches"]
    return Traced(tuple(found["kinds"]), (first, second), low, high, counts)


def _trace(key: Key) -> dict[str, Any]:
    """Launches at both batch sizes for each way of fusing; None where they are not linear."""
    module = _build(key)
    fusions: tuple[Fusion, ...] = ("none", "compile") if key.precision == "amp" else _ENGINES
    found: dict[str, Any] = dict.fromkeys(fusions)
    layouts = dict.fromkeys(fusions, key.layout)
    if "compile" in fusions and key.layout == "channels_first":
        layouts["compile"] = compiled_layout(_operations(module, key, key.layout, BATCHES[0][0]))
    for fusion, layout in layouts.items():
        for batches in BATCHES:
            low, high = (
                launches_of(_operations(module, key, layout, batch), fusion) for batch in batches
            )
            if [launch.kind for launch in low] == [launch.kind for launch in high]:
                pairs = Counter(zip(low, high, strict=True))
                found[fusion] = {
                    "kinds": [a.kind for a, _ in pairs],
                    "batches": batches,
                    "low": [a[1:] for a, _ in pairs],
                    "high": [b[1:] for _, b in pairs],
                    "counts": list(pairs.values()),
                }
                break
    return found


@lru_cache(maxsize=8)
def _operations(module: nn.Module, key: Key, layout: str, batch: int) -> list[Operation]:
    precision, memory = cast(Precision, key.precision), cast(Layout, layout)
    shape = (batch, 3, key.resolution, key.resolution)
    return trace(module, shape, precision=precision, layout=memory)


def _build(key: Key) -> nn.Module:
    from nas.timm_library import folded, shapes_only, unfused_attention

    if key.variant == "math-attention":
        with unfused_attention():
            return shapes_only(key.network, key.resolution)
    if key.variant == "reparameterised":
        return folded(key.network, key.resolution)
    return shapes_only(key.network, key.resolution)


def _rows(name: str) -> Iterator[dict[str, str]]:
    data = (resources.files("nas.latency.gpu.fit") / "public" / name).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    yield from csv.DictReader(text.decode().splitlines())
