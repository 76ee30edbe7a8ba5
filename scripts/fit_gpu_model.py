"""Fit the GPU model to the public measurements: `nas/latency/gpu/model.json`.

    python scripts/fit_gpu_model.py

The first run traces some 1,700 networks in two layouts, which takes an hour on one core; traces
are kept in the cache. The script fits once to everything, then again without each fifth of the
families of networks, each device and each runtime, to find the width of the intervals for
families, devices and runtimes that were not measured. This takes ten minutes on one core.
"""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import numpy as np

from nas.environment import version
from nas.latency.gpu.fit import public
from nas.latency.gpu.fit.fitting import fit
from nas.latency.gpu.fit.public import Measured
from nas.latency.gpu.fit.validation import (
    Floats,
    by_group,
    half_widths,
    leave_devices_out,
    leave_families_out,
    leave_runtimes_out,
)
from nas.latency.gpu.formula import RUNTIMES
from nas.latency.gpu.model import Model
from nas.latency.prediction import agreement
from nas.storage import atomic_write

OUT = Path(__file__).parents[1] / "nas/latency/gpu/model.json"


def measurements() -> list[Measured]:
    """Every published time whose network can be traced; networks come before launches."""
    rows, failed = [], Counter[str]()
    table = public.table()
    for i, row in enumerate(table):
        try:
            traced = public.traced(public.key_of(row), RUNTIMES[row["runtime"]].fusion)
        except Exception as error:  # this timm no longer has the network, or cannot build it
            failed[f"{row['network']}: {type(error).__name__}"] += 1
            continue
        if traced is None:
            failed[f"{row['network']}: its launches depend on the batch"] += 1
        else:
            rows.append((row, traced))
        if i % 500 == 0:
            print(f"{i} of {len(table)} rows", flush=True)
    for name, count in sorted(failed.items()):
        print(f"left out: {name} ({count} rows)")
    return [*public.networks(rows), *public.launches()]


def main() -> None:
    """Fit, validate, write."""
    rows = measurements()
    print(f"{len(rows)} rows", flush=True)
    fitted = fit(rows)
    networks = [row for row in rows if not row.is_launch]
    predicted = leave_families_out(rows, networks)
    _say("families left out", networks, predicted)
    known = by_group(networks, predicted)
    devices: dict[tuple[str, str], Floats] = {}
    accuracy = {}
    for name, tested, ms in leave_devices_out(rows):
        accuracy[name] = _say(f"without {name}", tested, ms)
        devices |= by_group(tested, ms)
    runtimes: dict[tuple[str, str], Floats] = {}
    for name, tested, ms in leave_runtimes_out(rows):
        _say(f"without {name}", tested, ms)
        runtimes |= by_group(tested, ms)
    boards: dict[str, dict[str, float]] = {}
    for (device, family), own in fitted.boards.items():
        boards.setdefault(device, {})[family] = round(own, 4)
    model = Model(
        fitted.parameters,
        boards,
        half_widths(known, devices, runtimes),
        accuracy,
        {
            "rows": len(rows),
            "devices": sorted({f"{row.device} {row.runtime}" for row in networks}),
            "runtimes": sorted({row.runtime for row in networks}),
            "torch": version("torch"),
            "timm": version("timm"),
            "seed": 0,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "command": "python scripts/fit_gpu_model.py",
        },
    )
    atomic_write(OUT, model.to_json())
    Model.from_json(OUT.read_text())
    print({name: round(widths["0.9"], 3) for name, widths in model.half_widths.items()})


def _say(what: str, rows: list[Measured], predicted: Floats) -> dict[str, float]:
    """Print and return how well rows were predicted."""
    found = agreement(predicted, np.array([row.ms for row in rows]))
    print(
        f"{what}: {len(rows)} networks, median error {found['median']:.1%}, "
        f"MAPE {found['mape']:.1%}, Spearman {found['spearman']:.3f}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
