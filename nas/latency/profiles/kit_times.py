"""Importing the times of a kit's networks: from a CSV file to a profile in the cache.

    id,ms,spread            times.csv; spread (the distance between the quartiles over the
    0123456789ab,3.21,0.02  median) and further columns may be left out

Afterwards `nas predict` and `nas search` know the device. On a board a profile comes from whole
networks (`whole_networks.py`); on a GPU the networks correct the shipped model
(`calibrate_gpu.py`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import SettingsError, reason
from nas.latency.devices import check
from nas.latency.profiles.calibrate_gpu import corrected
from nas.latency.profiles.choosing import drawn_at_random
from nas.latency.profiles.held_out import WIDEST
from nas.latency.profiles.kit import Kit, read_kit
from nas.latency.profiles.part_features import PartFeatures
from nas.latency.profiles.profile import FEWEST, MeasuredNetworks, Profile, Subject
from nas.latency.profiles.whole_networks import whole_networks_profile

_SAME = ("space", "in_channels", "num_classes", "batch_size", "resolution")
Times = dict[str, tuple[float, float]]
"""Milliseconds and spread (NaN if not given) of each network by its id."""


def import_times(times: Path, folder: Path, subject: Subject, *, widest: float = WIDEST) -> None:
    """Fit a profile to the times of a kit's networks and keep it in the cache.

    Raises:
        SettingsError: the target is this processor, or differs from the kit's space, batch or
            resolution; or the file is wrong, with every mistake and its line.
        NotFittedError: the times do not match the networks.
    """
    target = subject.target
    if target.device == "cpu":
        raise SettingsError(
            "The times of a kit belong to another device, and 'cpu' is the processor at hand: "
            "name the device with --hardware (`nas hardware add` describes a new one), or measure "
            "this processor with `nas measure`."
        )
    kit, device = read_kit(folder), {"model": check(target.device).title}
    asked = subject.conditions(device)
    asked |= {"batch_size": target.images, "resolution": target.resolution}
    _require_same(kit, asked)
    rows = read_times(times, kit.codes)
    _profile(kit, rows, subject, asked | kit.conditions, widest).save(subject.path)


def read_times(path: Path, known: Mapping[str, Any]) -> Times:
    """The times in a CSV file.

    Raises:
        SettingsError: with every mistake and its line.
    """
    found: Times = {}
    mistakes = []
    for number, line in _lines(path):
        name = (line["id"] or "").strip()
        mistake = _mistake(name, line, found, known)
        if mistake is None:
            found[name] = _number(line["ms"]), _number(line.get("spread"))
        else:
            mistakes.append(f"line {number}: {mistake}")
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


def _mistake(
    name: str, line: Mapping[str | None, str | None], found: Times, known: Mapping[str, Any]
) -> str | None:
    """What is wrong with a line; None if nothing is."""
    ms = line["ms"]
    if None in line:  # csv.DictReader's name for what is beyond the header
        return "it has more cells than the first line; decimals are written as in 1.5"
    if name not in known:
        return f"the kit has no network '{name}'"
    if name in found:
        return f"'{name}' occurs twice; keep one"
    if not (_number(ms) > 0 and math.isfinite(_number(ms))):
        return f"ms is {ms!r}; it has to be a positive number"
    return None


def _profile(
    kit: Kit, rows: Times, subject: Subject, conditions: dict[str, Any], widest: float
) -> Profile:
    ms, spread = (
        np.array(column, dtype=np.float64) for column in zip(*rows.values(), strict=True)
    )
    codes = np.array([kit.codes[name] for name in rows], dtype=np.int16)
    measured = MeasuredNetworks(codes, ms, ms[:, None], spread)
    if check(subject.target.device).kind == "gpu":
        return corrected(subject, measured, conditions, widest)
    drawn = list(kit.codes)[: drawn_at_random(len(kit.codes))]
    random = np.array([name in drawn for name in rows])
    features = PartFeatures.of(subject.index, subject.target.images)
    return whole_networks_profile(features, measured, random, conditions, widest)


def _lines(path: Path) -> list[tuple[int, dict[str | None, str | None]]]:
    """The rows of a CSV file with their line numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            lines = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"Cannot read the times in '{path}': {reason(error)}.") from None
    missing = [name for name in ("id", "ms") if name not in columns]
    if missing:
        raise SettingsError(
            f"The first line of '{path}' names no column {' and no '.join(map(repr, missing))}; "
            "it has to read id,ms or id,ms,spread."
        )
    return lines


def _require_same(kit: Kit, asked: Mapping[str, Any]) -> None:
    """Raise SettingsError if a kit was written under other conditions."""
    differ = [
        f"{name.replace('_', ' ')} {kit.conditions[name]} (not {asked[name]})"
        for name in _SAME
        if kit.conditions[name] != asked[name]
    ]
    if not differ and kit.conditions["parts"] != asked["parts"]:
        differ = [f"'{asked['space']}' with other --resolutions, or as it was before a change"]
    if differ:
        raise SettingsError(
            f"The kit is for {', '.join(differ)}. Give the options that stand in its README.md, "
            "or write a new one."
        )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
