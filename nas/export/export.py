"""Writing a network to a folder: every file is made, loaded back and compared, then put in place.

A file that does not give the network's own scores is never written. Each file appears whole or not
at all, and `architecture.yaml` last.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from nas.errors import CheckpointError
from nas.export.description import (
    ARCHITECTURE_FILE,
    WEIGHTS_FILE,
    DataDescription,
    ExportDescription,
)
from nas.export.format import FORMATS, Export, Format
from nas.export.load import load_exported
from nas.export.verification import check_same, random_images
from nas.storage import atomic_write, storing
from search_spaces.deployment import settled
from search_spaces.network import Network


def export_network(
    network: Network,
    folder: Path,
    *,
    data: DataDescription,
    scores: Mapping[str, float],
    formats: Iterable[str] = (),
    images: Tensor | None = None,
    pretrained: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a network to a folder, in which files of an earlier export are replaced.

    Args:
        network: A plain network; it is left as it is.
        scores: By name, such as `test_accuracy`; for people to read.
        formats: Any of `FORMATS`, besides the description and the weights.
        images: Some normalised training images (n, C, R, R), on which formats are calibrated and
            compared; None for random ones.
        pretrained: The published network whose weights training began with, in words.

    Returns:
        The files written.

    Raises:
        UnknownNameError: there is no such format.
        MissingExtraError: a format needs a package that is not installed.
        ExportError: a format cannot hold the network, or came back different; nothing is written.
        RunError, StorageError: the folder cannot be written to, or the disk is full.
    """
    chosen = [FORMATS[name] for name in dict.fromkeys(formats)]
    for format in chosen:
        format.require()
    plain = settled(copy.deepcopy(network).cpu().float())
    images = random_images(plain) if images is None else images
    with tempfile.TemporaryDirectory(prefix="nas-export-") as name:
        draft = Path(name)
        description = _write_weights(plain, draft, folder, data, scores, pretrained)
        for format in chosen:
            add_file(format, Export(plain, description, draft, images, format.tolerance))
        made = files_of(format.name for format in chosen)
        _forget_other_weights(folder, description, made)
        for file in made:
            atomic_write(folder / file, (draft / file).read_bytes())
    for format in chosen:
        if format.published is not None:
            format.published(network.architecture.id, folder)
    return [folder / file for file in made]


def _forget_other_weights(folder: Path, now: ExportDescription, made: Sequence[str]) -> None:
    """Remove what an earlier export to the folder left of other weights, as far as it stays."""
    path = folder / ARCHITECTURE_FILE
    if not path.exists():
        return
    try:
        before = ExportDescription.from_yaml(path.read_text(), str(path)).weights_sha256
    except CheckpointError:
        before = "unknown"
    if before != now.weights_sha256:
        with storing(folder):
            for name in set(files_of(format.name for format in FORMATS)) - set(made):
                (folder / name).unlink(missing_ok=True)


def files_of(formats: Iterable[str]) -> tuple[str, ...]:
    """The files of an export with these formats, in the order in which they are written."""
    return (WEIGHTS_FILE, *(FORMATS[name].file for name in formats), ARCHITECTURE_FILE)


def add_file(format: Format, export: Export) -> None:
    """Write a format's file to the export's folder and compare what is loaded back from it.

    Raises:
        ExportError: the format cannot hold the network, or came back different.
    """
    format.write(export)
    loaded = format.load(export.folder / format.file)
    check_same(
        export.network, loaded, f"The {format.name} export", export.images, export.tolerance
    )


def _write_weights(
    network: Network,
    draft: Path,
    folder: Path,
    data: DataDescription,
    scores: Mapping[str, float],
    pretrained: Mapping[str, Any] | None,
) -> ExportDescription:
    """Write the weights and the description, which names `folder`, and check them."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    # One entry of metadata: safetensors writes several in a random order.
    weights = safetensors.torch.save(tensors, {"format": "pt"})
    digest = hashlib.sha256(weights).hexdigest()
    description = ExportDescription(network.architecture, data, dict(scores), digest, pretrained)
    (draft / WEIGHTS_FILE).write_bytes(weights)
    (draft / ARCHITECTURE_FILE).write_text(description.to_yaml(str(folder)))
    check_same(network, load_exported(draft), "The reloaded copy", random_images(network))
    return description
