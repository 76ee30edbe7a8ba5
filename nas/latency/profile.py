"""A stored profile: what was measured, under which conditions, and how well it predicts.

One JSON file per machine, target and space in the cache. A file whose bytes were changed or that
does not name its conditions does not load: a latency without them means nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas.environment import version
from nas.errors import CheckpointError
from nas.latency.devices import fingerprint
from nas.latency.target import Target
from nas.storage import atomic_write, cache_dir
from search_spaces.part_index import PartIndex

SCHEMA = 1
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
class Terms:
    """Whole-network terms, none negative; see `nas/latency/cpu.py`."""

    constant_ms: float
    factor: float
    per_part_ms: float
    per_mib_ms: float


@dataclass(frozen=True)
class Profile:
    """All that a predictor needs, as plain data."""

    conditions: dict[str, Any]
    parts_ms: tuple[float, ...]
    """Each part of the space's index, timed inside networks."""
    parts_mib: tuple[float, ...]
    """Size of each part's weights."""
    parts_timed: tuple[int, ...]
    """In how many networks each part was timed; 0 where it is guessed from its kernels."""
    terms: Terms
    log_half_width: float
    """The 90 % interval is a factor of exp(this) to either side."""
    held_out: dict[str, float]
    """How well networks are predicted that the terms were not fitted on."""
    networks: tuple[dict[str, Any], ...]
    """The whole networks that were measured: code, ms, predicted_ms without it, spread."""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the contents."""
        return checksum(dataclasses.asdict(self))[:12]

    def save(self, path: Path) -> None:
        """Write the profile, whole or not at all."""
        write_content(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is damaged, was changed, or lacks its conditions.
        """
        content = read_content(path)
        return cls(
            conditions=content["conditions"],
            parts_ms=tuple(content["parts_ms"]),
            parts_mib=tuple(content["parts_mib"]),
            parts_timed=tuple(content["parts_timed"]),
            terms=Terms(**content["terms"]),
            log_half_width=content["log_half_width"],
            held_out=content["held_out"],
            networks=tuple(content["networks"]),
        )


def write_content(path: Path, content: dict[str, Any]) -> None:
    """Write what was measured with its checksum, whole or not at all."""
    document = {"schema": SCHEMA, "checksum": checksum(content), "content": content}
    atomic_write(path, json.dumps(document, indent=1) + "\n")


def read_content(path: Path) -> dict[str, Any]:
    """Read what `write_content` wrote.

    Raises:
        CheckpointError: the file is damaged, was changed, or lacks its conditions.
    """
    again = f"Delete '{path}', and the next search or `nas measure` measures again."
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
