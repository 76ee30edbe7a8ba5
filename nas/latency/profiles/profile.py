"""Stored profiles: what was measured, under which conditions, and how well it predicts.

One JSON file per machine, target and space in the cache. A file whose bytes were changed or that
does not name its conditions does not load: a latency without them means nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from nas.environment import version
from nas.errors import CheckpointError
from nas.latency.devices import fingerprint
from nas.latency.target import Target
from nas.latency.timing.samples import Measurement
from nas.storage import atomic_write, cache_dir
from search_spaces.part_index import PartIndex
from search_spaces.space import SearchSpace

SCHEMA = 1
FEWEST = 5
"""Networks without whose times no profile is fitted."""
CONDITIONS = (
    "target",
    "device",
    "torch",
    "space",
    "parts",
    "in_channels",
    "num_classes",
    "rounds",
    "repeat_noise",
    "disturbed",
    "drift",
    "date",
)
"""What every profile says about how it was made."""


@dataclass(frozen=True)
class StoredProfile:
    """What all kinds of profiles have, as plain data, and their file."""

    conditions: dict[str, Any]
    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""
    held_out: dict[str, float]
    """How well networks are predicted that nothing was fitted on."""
    networks: tuple[dict[str, Any], ...]
    """The whole networks that were measured: code, ms, predicted_ms without it, spread."""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the contents."""
        return checksum(dataclasses.asdict(self))[:12]

    def save(self, path: Path) -> None:
        """Write the profile, whole or not at all."""
        content = dataclasses.asdict(self)
        document = {"schema": SCHEMA, "checksum": checksum(content), "content": content}
        atomic_write(path, json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is damaged, was changed, lacks its conditions, or is of an
                earlier version.
        """
        again = f"Delete '{path}', then measure again (`nas measure`) or import the times again."
        content = _content(path, again)
        try:
            return cls._of(content)
        except KeyError as error:
            raise CheckpointError(
                f"The latency profile '{path}' is of an earlier version: it has no {error}. "
                f"{again}"
            ) from None

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        found: dict[str, Any] = {f.name: content[f.name] for f in dataclasses.fields(cls)}
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**{**found, **lists})


@dataclass(frozen=True)
class Terms:
    """Whole-network terms, none negative; see `nas/latency/profiles/parts.py`."""

    constant_ms: float
    factor: float
    per_part_ms: float
    per_mib_ms: float


@dataclass(frozen=True)
class Profile(StoredProfile):
    """A processor or board: what each part takes, and what a network takes beyond its parts."""

    parts_ms: tuple[float, ...]
    """Each part of the space's index, timed inside networks."""
    parts_mib: tuple[float, ...]
    """Size of each part's weights."""
    parts_timed: tuple[int, ...]
    """In how many networks each part was timed; 0 where it is guessed from its kernels."""
    terms: Terms

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        terms = content["terms"]
        known = Terms(**{field.name: terms[field.name] for field in dataclasses.fields(Terms)})
        return super()._of({**content, "terms": known})


def conditions_of(
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
    device: dict[str, Any],
    measured: Measurement | None = None,
) -> dict[str, Any]:
    """What a profile says about how it was made.

    Args:
        space: What was measured.
        target: Under which conditions.
        in_channels: Channels of the images.
        num_classes: Number of classes.
        device: What the device is.
        measured: The networks' times; None where only their medians came back.
    """
    figures = ("rounds", "repeat_noise", "disturbed", "drift")
    return {
        "target": target.to_dict(),
        "device": device,
        "torch": version("torch"),
        "space": space.name,
        "parts": parts_hash(space.part_index(in_channels, num_classes)),
        "in_channels": in_channels,
        "num_classes": num_classes,
        **{name: measured and getattr(measured, name) for name in figures},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def profile_path(target: Target, index: PartIndex, in_channels: int, num_classes: int) -> Path:
    """Where the profile of a target and space is cached; for `cpu`, of this machine only."""
    key = {
        "schema": SCHEMA,
        "target": target.to_dict(),
        "parts": parts_hash(index),
        "in_channels": in_channels,
        "num_classes": num_classes,
    }
    if target.device == "cpu":
        key |= {"device": fingerprint(), "torch": version("torch")}
        if target.runtime == "onnxruntime":
            key |= {"onnxruntime": version("onnxruntime")}
    return cache_dir() / "latency" / f"{target.device}-{checksum(key)[:16]}.json"


def profiles_of(device: str) -> list[Path]:
    """All cached profiles of a device, of whatever space and conditions."""
    name = re.compile(rf"{re.escape(device)}-[0-9a-f]{{16}}")
    kept = (cache_dir() / "latency").glob(f"{device}-*.json")
    return [path for path in kept if name.fullmatch(path.stem)]


def parts_hash(index: PartIndex) -> str:
    """A hash of all that a latency table depends on: the parts, and where each can stand."""
    digest = hashlib.sha256(repr(index.parts).encode())
    for slot in index.slots:
        digest.update(repr((slot.name, slot.genes, slot.index.shape)).encode())
        digest.update(slot.index.astype("<i4").tobytes())
    return digest.hexdigest()[:16]


def checksum(content: Any) -> str:
    """SHA-256 of plain data, the same after a round trip through JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _content(path: Path, again: str) -> dict[str, Any]:
    """What is in a profile's file, once it is known to be whole; `again` says what to do."""
    try:
        document = json.loads(path.read_text())
        schema, stated = document["schema"], document["checksum"]
        content: dict[str, Any] = document["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"The latency profile '{path}' cannot be read ({error!r}). {again}"
        ) from None
    if schema != SCHEMA:
        raise CheckpointError(
            f"The latency profile '{path}' has schema {schema!r}; this version reads "
            f"{SCHEMA}. {again}"
        )
    if checksum(content) != stated:
        raise CheckpointError(
            f"The latency profile '{path}' was changed after it was measured: its checksum "
            f"does not match. {again}"
        )
    missing = [name for name in CONDITIONS if name not in content.get("conditions", {})]
    if missing:
        raise CheckpointError(
            f"The latency profile '{path}' does not say under which conditions it was "
            f"measured: {', '.join(missing)} missing. {again}"
        )
    return content
