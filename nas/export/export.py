"""Writing a network to a folder: every file is made, loaded back and compared, then put in place.

A file that does not give the network's own scores is never written; each one that is appears
whole or not at all, `architecture.yaml` last.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import safetensors.torch

from nas.errors import unknown_name
from nas.export import onnx, pt2
from nas.export import timm_format as timm_config
from nas.export.description import (
    ARCHITECTURE_FILE,
    WEIGHTS_FILE,
    DataDescription,
    ExportDescription,
)
from nas.export.load import load_exported
from nas.export.verification import check_same
from nas.storage import atomic_write
from search_spaces.network import Network

Writer = Callable[[Network, ExportDescription, Path], Path]
"""Adds a format's file to a folder that holds the description and the weights, and checks it."""

FORMATS: dict[str, Writer] = {
    "timm": timm_config.write,
    "pt2": pt2.write,
    "onnx": onnx.write,
}
"""Formats besides the description and the weights, which are always written."""


def installed_formats() -> tuple[str, ...]:
    """The formats whose packages are installed."""
    with_onnx = all(importlib.util.find_spec(package) for package in onnx.PACKAGES)
    return tuple(name for name in FORMATS if name != "onnx" or with_onnx)


def export_network(
    network: Network,
    folder: Path,
    *,
    data: DataDescription,
    scores: Mapping[str, float],
    formats: Iterable[str] = ("timm",),
) -> list[Path]:
    """Write a network to a folder, in which files of an earlier export are replaced.

    Args:
        network: A plain network; it is left as it is.
        folder: Made where it does not exist.
        data: The images it was trained on.
        scores: By name, such as `test_accuracy`; for people to read.
        formats: Any of `FORMATS`.

    Returns:
        The files written.

    Raises:
        UnknownNameError: there is no such format.
        MissingExtraError: a format needs a package that is not installed.
        ExportError: a format cannot hold the network, or came back different; nothing is written.
        RunError, StorageError: the folder cannot be written to, or the disk is full.
    """
    wanted = list(dict.fromkeys(formats))
    for name in wanted:
        if name not in FORMATS:
            raise unknown_name("export format", name, FORMATS)
    plain = copy.deepcopy(network).cpu().float().eval()
    tensors = {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}
    # One entry of metadata: safetensors writes several in an order of chance.
    weights = safetensors.torch.save(tensors, {"format": "pt"})
    description = ExportDescription(
        plain.architecture, data, dict(scores), hashlib.sha256(weights).hexdigest()
    )
    with tempfile.TemporaryDirectory(prefix="nas-export-") as name:
        draft = Path(name)
        (draft / WEIGHTS_FILE).write_bytes(weights)
        (draft / ARCHITECTURE_FILE).write_text(description.to_yaml(str(folder)))
        check_same(plain, load_exported(draft), "The reloaded copy")
        made = [FORMATS[format](plain, description, draft).name for format in wanted]
        files = [folder / name for name in (WEIGHTS_FILE, *made, ARCHITECTURE_FILE)]
        for file in files:
            atomic_write(file, (draft / file.name).read_bytes())
    if "timm" in wanted:
        timm_config.note(plain.architecture.id, folder)
    return files
