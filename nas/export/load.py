"""From an exported folder back to the network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors
import safetensors.torch

from nas.errors import CheckpointError, reason
from nas.export.description import ARCHITECTURE_FILE, WEIGHTS_FILE, ExportDescription
from search_spaces.network import Network, build_network


def load_exported(path: Path | str) -> Network:
    """The network in a folder that `export_network` wrote, in eval mode.

    Args:
        path: The folder, or the `architecture.yaml` in it.

    Raises:
        CheckpointError: a file is missing, damaged, or belongs to another network.
    """
    folder = Path(path)
    folder = folder if folder.is_dir() else folder.parent
    description = read_description(path)
    content = _read(folder / WEIGHTS_FILE)
    if hashlib.sha256(content).hexdigest() != description.weights_sha256:
        raise CheckpointError(
            f"'{folder / WEIGHTS_FILE}' is not the file that was exported with "
            f"'{ARCHITECTURE_FILE}': it is damaged or belongs to another network. Export it anew."
        )
    data = description.data
    network = build_network(description.architecture, data.shape)
    try:
        network.load_state_dict(safetensors.torch.load(content))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"'{folder / WEIGHTS_FILE}' does not hold the weights of network "
            f"{description.architecture.id}: {error}. Export it anew."
        ) from None
    return network.eval()


def read_description(path: Path | str) -> ExportDescription:
    """What `architecture.yaml` says; errors as in `load_exported`."""
    file = Path(path) / ARCHITECTURE_FILE if Path(path).is_dir() else Path(path)
    try:
        text = _read(file).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"'{file}' is damaged: {error}. Export it anew.") from None
    return ExportDescription.from_yaml(text, str(file))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"There is no exported network in '{file.parent}' ('{file.name}': {reason(error)})."
        ) from None
