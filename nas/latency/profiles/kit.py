"""Measuring a device that cannot host us, such as a phone: networks out, times back.

    write_kit       a folder with networks of a space (ONNX), a runner and what to do with them
    import_times    the file of times that comes back, as a profile in the cache

    id,ms,spread            times.csv: spread (the distance between the quartiles over the
    0123456789ab,3.21,0.02  median) and further columns may be left out

From then on `nas predict` and `nas search` know the device. What makes a profile of so few
networks is in `whole_networks.py`; on a GPU they correct the shipped model, `gpu/calibrate.py`.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.environment import version
from nas.errors import RunError, SettingsError
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.latency.gpu.terms import sums_of_parts
from nas.latency.profiles.calibrate import Plan
from nas.latency.profiles.gpu_calibrate import corrected
from nas.latency.profiles.profile import (
    FEWEST,
    StoredProfile,
    conditions_of,
    parts_hash,
    profile_path,
)
from nas.latency.profiles.whole_networks import (
    PartFeatures,
    drawn_at_random,
    telling_codes,
    whole_networks_profile,
)
from nas.latency.target import Target
from nas.latency.timing.onnx import onnx_bytes
from nas.progress import Progress
from nas.storage import atomic_write, read_json
from search_spaces.network import build_network
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
SCHEMA = 1
PROBES = 12
RUNNER = Path(__file__).with_name("probe_runner.py")

_README = """\
# Networks to measure on {device}

{n} networks of the space `{space}`: input `images` {shape} float32, output `scores`.
Copy this folder to the device. Where it has Python with onnxruntime and numpy:

    python run_probes.py --threads 4

which takes about a minute and writes `times.csv`. Where it has not, run the ONNX files with what
it has (onnxruntime_perf_test, a benchmark app, a converter) and write `times.csv` by hand:

    id,ms
    {id},12.3

one line per network of `probes.csv`, with the median milliseconds of one run of the whole batch.
A few networks may be left out; {fewest} are needed. Then, where the search runs:

    nas measure --import times.csv --kit {folder} --hardware {device} --space {space}

with the same `--data` and `--resolution` as for this kit, and the `--runtime`, `--precision` and
`--threads` that the times are of. `nas predict` and `nas search --hardware {device}` then know
the device under the same options.
"""


@dataclass(frozen=True)
class Kit:
    """What `kit.json` says."""

    conditions: dict[str, Any]
    """Space, parts, in_channels, num_classes, batch_size and resolution."""
    codes: dict[str, list[int]]
    """Of each probe by its id, those drawn at random first."""


def write_kit(
    folder: Path,
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
    *,
    probes: int = PROBES,
    seed: int = 0,
    progress: Progress,
) -> Kit:
    """Write networks of a space for the target's batch and resolution, and how to measure them.

    Args:
        folder: A new or empty one.
        space: Restricted to the target's resolution, if it has one.
        target: The device, batch and resolution.
        in_channels: Channels of the images.
        num_classes: Number of classes.
        probes: How many networks.
        seed: Of the choice of networks.
        progress: Who is told.

    Raises:
        RunError: the folder holds something already.
        MissingExtraError: the ONNX exporter is not installed.
        ExportError: a network cannot be exported.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"'{folder}' is not empty. Give --kit a new folder.")
    index = space.part_index(in_channels, num_classes)
    features = PartFeatures.of(index, target.images)
    codes = telling_codes(space, features, np.random.default_rng(seed), probes)
    architectures = {a.id: a for a in map(space.decode, codes)}
    with progress.task("Exporting networks", len(architectures)) as advance:
        for i, (name, architecture) in enumerate(architectures.items()):
            network = build_network(architecture, in_channels, num_classes).eval()
            side = architecture.resolution
            images = torch.zeros(target.images, in_channels, side, side)
            atomic_write(folder / _file(name), onnx_bytes(network, images))
            advance(i + 1, name)
    kit = Kit(
        {
            "space": space.name,
            "parts": parts_hash(index),
            "in_channels": in_channels,
            "num_classes": num_classes,
            "batch_size": target.images,
            "resolution": target.resolution,
            "torch": version("torch"),
        },
        {
            a.id: [int(gene) for gene in code]
            for a, code in zip(architectures.values(), codes, strict=True)
        },
    )
    _write_words(folder, kit, target)
    return kit


def read_kit(folder: Path) -> Kit:
    """What `write_kit` wrote.

    Raises:
        CheckpointError: there is no kit, or it is damaged.
        SettingsError: another version of nas wrote it.
    """
    document = read_json(folder / "kit.json")
    if document.get("schema") != SCHEMA:
        raise SettingsError(
            f"The kit '{folder}' has schema {document.get('schema')!r}; this version reads "
            f"{SCHEMA}. Write a new one with `nas measure --kit DIR`."
        )
    return Kit(document["conditions"], document["probes"])


def import_times(
    times: Path,
    folder: Path,
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
) -> None:
    """Fit a profile to the times of a kit's networks and keep it in the cache.

    Args:
        times: The CSV file, see above.
        folder: The kit.
        space: Restricted to the target's resolution, if it has one.
        target: What the times are of.
        in_channels: Channels of the images.
        num_classes: Number of classes.

    Raises:
        SettingsError: the target is this processor, or not the kit's space, batch or resolution;
            or the file is wrong, with every mistake and its line.
        NotFittedError: the times do not go with the networks.
    """
    if target.device == "cpu":
        raise SettingsError(
            "Times of a kit are another device's, and 'cpu' is the processor at hand: name the "
            "device with --hardware (`nas hardware add` describes a new one), or measure this "
            "processor with `nas measure`."
        )
    kit = read_kit(folder)
    index = space.part_index(in_channels, num_classes)
    _require_same(kit, parts_hash(index), space, target, in_channels, num_classes)
    rows = read_times(times, kit.codes)
    drawn = set(list(kit.codes)[: drawn_at_random(len(kit.codes))])
    codes: Codes = np.array([kit.codes[name] for name in rows], dtype=np.int16)
    ms, spread = (
        np.array(column, dtype=np.float64) for column in zip(*rows.values(), strict=True)
    )
    device = {"model": check(target.device).title}
    conditions = conditions_of(space, target, in_channels, num_classes, device) | kit.conditions
    profile: StoredProfile
    if check(target.device).kind == "gpu":  # the times correct what the shipped model predicts
        gpu = GpuModel(target)
        parts = sums_of_parts(gpu, index)
        profile = corrected(
            space, gpu, parts, codes, ms, ms[:, None], spread, conditions, Plan.widest
        )
    else:
        features = PartFeatures.of(index, target.images)
        random = np.array([name in drawn for name in rows])
        profile = whole_networks_profile(
            features, codes, ms, ms[:, None], spread, random, conditions, Plan.widest
        )
    profile.save(profile_path(target, index, in_channels, num_classes))


def read_times(path: Path, known: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Milliseconds and spread (NaN where not given) of each network by its id.

    Raises:
        SettingsError: with every mistake and its line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            lines = list(enumerate(reader, start=2))
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"Cannot read the times in '{path}': {error}.") from None
    missing = [name for name in ("id", "ms") if name not in columns]
    if missing:
        raise SettingsError(
            f"The first line of '{path}' names no column {' and no '.join(map(repr, missing))}; "
            "it has to read id,ms or id,ms,spread."
        )
    found: dict[str, tuple[float, float]] = {}
    mistakes = []
    for number, line in lines:
        name, ms = (line["id"] or "").strip(), _number(line["ms"])
        if name not in known:
            mistakes.append(f"line {number}: the kit has no network '{name}'")
        elif name in found:
            mistakes.append(f"line {number}: '{name}' stands there twice; keep one")
        elif not (ms > 0 and math.isfinite(ms)):
            mistakes.append(f"line {number}: ms is {line['ms']!r}; it has to be a positive number")
        else:
            found[name] = ms, _number(line.get("spread"))
    if mistakes:
        raise SettingsError(
            "\n  ".join([f"The times in '{path}' have {len(mistakes)} mistake(s):", *mistakes])
        )
    if len(found) < FEWEST:
        raise SettingsError(
            f"'{path}' has the times of {len(found)} networks; at least {FEWEST} of the kit's "
            f"{len(known)} are needed."
        )
    return found


def _require_same(
    kit: Kit, parts: str, space: SearchSpace, target: Target, in_channels: int, num_classes: int
) -> None:
    asked = {
        "space": space.name,
        "in_channels": in_channels,
        "num_classes": num_classes,
        "batch_size": target.images,
        "resolution": target.resolution,
    }
    differ = [
        f"{name.replace('_', ' ')} {kit.conditions[name]} (not {value})"
        for name, value in asked.items()
        if kit.conditions[name] != value
    ]
    if not differ and kit.conditions["parts"] != parts:
        differ = [f"'{space.name}' as it was when the kit was written; it has other parts now"]
    if differ:
        raise SettingsError(
            f"The kit is of {', '.join(differ)}. Give the --space, --data, --batch-size and "
            "--resolution that it was written with, or write a new one."
        )


def _write_words(folder: Path, kit: Kit, target: Target) -> None:
    document = {"schema": SCHEMA, "conditions": kit.conditions, "probes": kit.codes}
    rows = "".join(f"{name},{_file(name)}\n" for name in kit.codes)
    side = "side" if target.resolution is None else target.resolution
    words = _README.format(
        device="NAME" if target.device == "cpu" else target.device,
        n=len(kit.codes),
        space=kit.conditions["space"],
        shape=f"({target.images}, {kit.conditions['in_channels']}, {side}, {side})",
        id=next(iter(kit.codes)),
        fewest=FEWEST,
        folder=folder.name,
    )
    atomic_write(folder / "probes.csv", f"id,file\n{rows}")
    atomic_write(folder / "run_probes.py", RUNNER.read_text())
    atomic_write(folder / "README.md", words)
    atomic_write(folder / "kit.json", json.dumps(document, indent=1) + "\n")


def _file(name: str) -> str:
    return f"{name}.onnx"


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
