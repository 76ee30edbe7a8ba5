"""What `nas mixers` prints: every family of parts, with its cost per token.

A token is a position of a map. MACs and times are those of a family's default options on maps of
14 x 14 positions with 64 channels, in float32; times are those of one thread.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from nas.errors import unknown_name
from nas.latency.timing.machine import quiet
from nas.latency.tracing.operations import macs
from nas.latency.tracing.trace import trace
from search_spaces.family import CHANNEL_MIXERS, MIXERS, Family
from search_spaces.layouts import LAYOUTS
from search_spaces.parts import REGISTRIES

WIDTH, SIDE = 64, 14
SHAPE = (1, WIDTH, SIDE, SIDE)
TOKENS = SIDE * SIDE
ROUNDS = 15
COSTED = (MIXERS.kind, CHANNEL_MIXERS.kind)
"""Roles whose families are counted and timed alone."""

Document = dict[str, Any]


def families() -> Iterator[tuple[str, Family]]:
    """Every family with its role; the mixers come first."""
    for registry in sorted(REGISTRIES.values(), key=lambda each: each is not MIXERS):
        for family in registry:
            yield registry.kind, family


def documents(timed: bool) -> list[Document]:
    """Every family, then every layout, for `--json`.

    Args:
        timed: Whether mixers and channel mixers are timed on the processor at hand (seconds).
    """
    costed = [*MIXERS, *CHANNEL_MIXERS]
    times = dict(zip(map(id, costed), _times(costed), strict=True)) if timed else {}
    found = [_document(role, family, times.get(id(family))) for role, family in families()]
    return found + [
        {
            "role": LAYOUTS.kind,
            "group": None,
            "name": layout.name,
            "summary": layout.summary,
            "options": {},
            "paper": layout.paper,
            "reference": None,
            "macs_per_token": None,
        }
        for layout in LAYOUTS
    ]


def named(name: str) -> list[tuple[str, Family]]:
    """The families of that name, each with its role.

    Raises:
        UnknownNameError: there is none.
    """
    found = [(role, family) for role, family in families() if family.name == name]
    if not found:
        raise unknown_name("mixer or other part", name, [each.name for _, each in families()])
    return found


def document_of(role: str, family: Family, timed: bool) -> Document:
    """One family with its equation, the meaning of its options and how it shares weights."""
    taken = _times([family])[0] if timed and role in COSTED else None
    return _document(role, family, taken) | {
        "description": family.description,
        "option_fields": [
            {
                "name": field.name,
                "values": list(field.metadata["choices"]),
                "default": field.default,
                "unit": field.metadata["unit"],
                "meaning": field.metadata["meaning"],
            }
            for field in dataclasses.fields(family.options)
        ],
        "options_meaning": (family.options.__doc__ or "").strip(),
        "nested": list(family.nested),
    }


def _document(role: str, family: Family, us_per_token: float | None) -> Document:
    found: Document = {
        "role": role,
        "group": family.group if role == MIXERS.kind else None,
        "name": family.name,
        "summary": family.summary,
        "options": {name: list(values) for name, values in family.choices().items()},
        "paper": family.paper,
        "reference": family.reference or None,
        "macs_per_token": _macs_per_token(family) if role in COSTED else None,
    }
    return found if us_per_token is None else found | {"us_per_token": us_per_token}


def _macs_per_token(family: Family) -> float:
    module = family.module(WIDTH, family.options())
    return macs(trace(module, SHAPE)) / TOKENS


@torch.inference_mode()
def _times(timed: Sequence[Family]) -> list[float]:
    """Microseconds per token of each family: the median of runs that take turns."""
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    modules = [family.module(WIDTH, family.options()).eval() for family in timed]
    taken = np.empty((ROUNDS + 1, len(modules)))
    with quiet(threads=1):
        for row in taken:
            for i, module in enumerate(modules):
                start = time.perf_counter()
                module(x)
                row[i] = time.perf_counter() - start
    medians: list[float] = (np.median(taken[1:], axis=0) * 1e6 / TOKENS).tolist()
    return medians
