"""Checksums: ids of stored figures, and files that are refused after a change.

    {"schema": 1, "checksum": "SHA-256 of the content", "content": {...}}

Latencies are stored in such sealed files. A figure that somebody edited, or one without the
conditions that it was measured under, would mislead: a file with changed content or without its
conditions does not load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import CheckpointError
from search_spaces.part_index import PartIndex


def checksum(content: Any) -> str:
    """SHA-256 of plain data; the same after a round trip through JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def short_id(content: Any) -> str:
    """Twelve hexadecimal digits that identify plain data."""
    return checksum(content)[:12]


def cache_name(content: Any) -> str:
    """Sixteen hexadecimal digits for the name of a cached file that depends on plain data."""
    return checksum(content)[:16]


def parts_hash(index: PartIndex) -> str:
    """A hash of everything that a latency table depends on: the parts and where each can stand."""
    digest = hashlib.sha256(repr(index.parts).encode())
    for slot in index.slots:
        digest.update(repr((slot.name, slot.genes, slot.index.shape)).encode())
        digest.update(slot.index.astype("<i4").tobytes())
    return digest.hexdigest()[:16]


def seal(content: Mapping[str, Any], schema: int) -> str:
    """The text of a sealed file."""
    document = {"schema": schema, "checksum": checksum(content), "content": content}
    return json.dumps(document, indent=1) + "\n"


def unseal(
    text: str, schema: int, name: str, again: str, conditions: Sequence[str] = ()
) -> dict[str, Any]:
    """The content of a sealed file.

    Args:
        name: How errors call the file, such as "The latency profile 'x.json'".
        again: What errors advise.
        conditions: Keys that the content's `conditions` need to have.

    Raises:
        CheckpointError: the text is damaged, was changed, has another schema or no conditions.
    """
    try:
        document = json.loads(text)
        found, stated = document["schema"], document["checksum"]
        content: dict[str, Any] = document["content"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name} cannot be read ({error!r}). {again}") from None
    missing = [key for key in conditions if key not in content.get("conditions", {})]
    if found != schema:
        wrong = f"has schema {found!r}; this version reads {schema}"
    elif checksum(content) != stated:
        wrong = "was changed after it was written: its checksum does not match"
    elif missing:
        wrong = f"does not say under which conditions it was made: {', '.join(missing)} missing"
    else:
        return content
    raise CheckpointError(f"{name} {wrong}. {again}")


def read_sealed(
    path: Path, schema: int, name: str, again: str, conditions: Sequence[str] = ()
) -> dict[str, Any]:
    """The content of the sealed file `path`; see `unseal`."""
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} cannot be read ({error!r}). {again}") from None
    return unseal(text, schema, name, again, conditions)
