"""Checkpoints as bytes: safetensors with a JSON description, without pickle; damage is detected.

The description says which training a checkpoint belongs to (a hash of space, data, recipe and
seed), so that no other training continues from it. The caller writes the bytes to a file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from search_spaces.errors import CheckpointError

SCHEMA = "1"


def to_bytes(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    """One file's content.

    Args:
        tensors: By name; they may share no memory.
        description: Anything JSON can hold.
    """
    packed = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    about = {"schema": SCHEMA, "description": description, "checksum": _checksum(packed)}
    # One key only: safetensors writes several in no fixed order, and equal contents must give
    # equal bytes.
    return safetensors.torch.save(packed, {"nas": json.dumps(about, sort_keys=True)})


def from_bytes(content: bytes, source: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description from the bytes that `to_bytes` made.

    Args:
        content: The bytes of a file.
        source: The file's name in messages.

    Raises:
        CheckpointError: it is damaged or not one of ours.
    """
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["nas"])
        schema, checksum = about["schema"], about["checksum"]
        description = about["description"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"The checkpoint {source} is damaged ({error}). Delete it to start again."
        ) from None
    if schema != SCHEMA:
        raise CheckpointError(
            f"The checkpoint {source} has schema {schema}; this version reads {SCHEMA}. "
            "Use the version that wrote it, or delete it to start again."
        )
    if checksum != _checksum(tensors):
        raise CheckpointError(
            f"The checkpoint {source} is damaged: its weights are not the ones that were "
            "written. Delete it to start again."
        )
    return tensors, description


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().view(-1).numpy().tobytes(), total)
    return f"{total:08x}"
