"""What each part of a space does: what it costs, and what a GPU's runtimes launch for it.

    part --trace--> operations --+--> costs        MACs, parameters, activation memory
                                 +--> launches     for each way in which runtimes fuse operations

A part is traced once for each precision and layout at batch 1, and once more at batch 2: launches
at other batches follow, because sizes are linear in the batch. Costs come from the trace in half
precision. All of it is kept in the cache by part, so that spaces share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.latency.gpu.fusion import Fusion, launches_of, relaid
from nas.latency.gpu.launches import LAUNCH_KINDS, rows_of
from nas.latency.kept import Kept
from nas.latency.sources import fingerprint
from nas.latency.tracing.building import without_memory
from nas.latency.tracing.operations import (
    Layout,
    Operation,
    Precision,
    macs,
    peak_in_single_precision,
)
from nas.latency.tracing.trace import trace
from nas.storage import cache_dir
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.network import build_network
from search_spaces.parts import Part, parts_of

Floats = NDArray[np.float64]
FUSIONS: tuple[Fusion, ...] = ("none", "compile", "engine")
"""Those of runtimes that a target can have."""
_COST = "cost"
_CHUNK = 200
"""Parts that are traced before the cache is written, so that an interruption loses little."""


@dataclass(frozen=True)
class WholeNetwork:
    """A network that is traced in one piece, for what its parts save where they meet."""

    architecture: Architecture
    data_shape: DataShape

    def input_shape(self, batch_size: int) -> tuple[int, int, int, int]:
        """Shape of the input, (B, C, H, W)."""
        side = self.architecture.resolution
        return batch_size, self.data_shape.channels, side, side


Piece = Part | WholeNetwork
Tracer = Callable[..., list[Operation]]
"""`trace`, or what counts its calls in a test."""


@dataclass(frozen=True)
class Conditions:
    """How a piece runs, as far as it decides what it launches."""

    batch_size: int = 1
    precision: Precision = "fp16"
    layout: Layout = "channels_last"


def costs(pieces: Sequence[Piece], tracer: Tracer = trace) -> Floats:
    """MACs, parameters and bytes of float32 activations for one image, (n, 3)."""
    return np.array(_arrays(pieces, _COST, Conditions(), tracer)).reshape(-1, 3)


def launches(
    pieces: Sequence[Piece], fusion: Fusion, conditions: Conditions, tracer: Tracer = trace
) -> list[Floats]:
    """What a runtime launches for each piece.

    Returns:
        For each piece one row per launch: the position of its kind in LAUNCH_KINDS, then its
        sizes in the order of `Launch`, (launches, 9).
    """
    batch = conditions.batch_size
    if batch <= 2:
        return _arrays(pieces, fusion, conditions, tracer)
    one, two = (
        _arrays(pieces, fusion, replace(conditions, batch_size=size), tracer) for size in (1, 2)
    )
    found = [_at_batch(*rows, batch) for rows in zip(one, two, strict=True)]
    others = [piece for piece, rows in zip(pieces, found, strict=True) if rows is None]
    traced = iter(_arrays(others, fusion, conditions, tracer))
    return [next(traced) if rows is None else rows for rows in found]


def part_operations(part: Part, batch_size: int = 1) -> tuple[int, list[Operation]]:
    """A part's number of parameters of its own and its trace in single precision."""
    module = _module(part)
    return _parameters(part, module), trace(module, part.input_shape(batch_size))


def _at_batch(one: Floats, two: Floats, batch: int) -> Floats | None:
    """Launches at a batch from those at 1 and 2; None where they do not follow."""
    alike = len(one) == len(two) and (one[:, 0] == two[:, 0]).all()
    # The FLOPs of Fourier transforms are rounded.
    if not alike or (one[:, 0] == LAUNCH_KINDS.index("fft")).any():
        return None
    return np.asarray(one + (batch - 1) * (two - one))


def _arrays(
    pieces: Sequence[Piece], what: str, conditions: Conditions, tracer: Tracer
) -> list[Floats]:
    """One kind of result for each piece: from the cache, else from a trace."""
    kept = Kept(cache_dir() / "latency" / "part-work.sqlite")
    keys = [_key(piece, what, conditions) for piece in pieces]
    known = kept.read(keys)
    missing = {key: piece for key, piece in zip(keys, pieces, strict=True) if key not in known}
    for start in range(0, len(missing), _CHUNK):
        found: dict[str, bytes] = {}
        for piece in list(missing.values())[start : start + _CHUNK]:
            own = _remembered(piece, conditions, _programs(piece)) if tracer is trace else None
            for name, array in own or _traced(piece, conditions, tracer):
                found[_key(piece, name, conditions)] = array.astype("<f8").tobytes()
        kept.write(found)
        known.update({key: value for key, value in found.items() if key in missing})
    width = 3 if what == _COST else 9
    return [np.frombuffer(known[key], dtype="<f8").reshape(-1, width) for key in keys]


def _traced(piece: Piece, conditions: Conditions, tracer: Tracer) -> Iterator[tuple[str, Floats]]:
    """All that one trace tells, by name."""
    module, shape = _module(piece), piece.input_shape(conditions.batch_size)
    operations = tracer(module, shape, precision=conditions.precision, layout=conditions.layout)
    if conditions == Conditions():
        peak = peak_in_single_precision(operations)
        own = _parameters(piece, module)
        yield _COST, np.array([macs(operations), own, peak], dtype=np.float64)
    for fusion in FUSIONS:
        source = operations
        if fusion == "compile" and relaid(operations, conditions.layout):
            source = tracer(module, shape, precision=conditions.precision)
        yield fusion, rows_of(launches_of(source, fusion))


@lru_cache(maxsize=8192)
def _remembered(
    piece: Piece, conditions: Conditions, programs: str
) -> tuple[tuple[str, Floats], ...]:
    """The same, but only once in a process, even where the cache cannot be written."""
    return tuple(_traced(piece, conditions, trace))


def _key(piece: Piece, what: str, conditions: Conditions) -> str:
    text = f"{_programs(piece)} {torch.__version__} {piece} {what} {conditions}"
    return sha256(text.encode()).hexdigest()[:32]


def _programs(piece: Piece) -> str:
    """A fingerprint of the programs that decide what a piece does."""
    if isinstance(piece, Part):
        parts: Sequence[Part] = (piece,)
    else:
        parts = tuple(parts_of(piece.architecture, piece.data_shape).values())
    families = {part.family for part in parts}
    homes = {each.__module__ for f in families for each in (f.module, f.options)}
    own = {home.rpartition(".")[0] or home for home in homes}
    packages = ("nas.latency.", "search_spaces.", *sorted(own))
    return fingerprint((__name__, *sorted(homes)), packages)


def _module(piece: Piece) -> nn.Module:
    if isinstance(piece, Part):
        return _part_module(piece.deployed().module_key())
    with without_memory():
        return build_network(deployed(piece.architecture), piece.data_shape)


@lru_cache(maxsize=1024)
def _part_module(key: Part) -> nn.Module:
    """A part's module, shared by parts that differ only in the size of their map."""
    with without_memory():
        return key.build()


def _parameters(piece: Piece, module: nn.Module) -> int:
    """How many there are; none in a part whose block has run before with the same ones."""
    if isinstance(piece, Part) and piece.again:
        return 0
    return sum(parameter.numel() for parameter in module.parameters())
