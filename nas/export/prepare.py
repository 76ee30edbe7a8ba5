"""Image files as an exported network has to see them, whatever format it is loaded from.

    images = prepare_files("networks/<id>", ["a.jpg", "b.png"])      (2, C, R, R)
    scores = load_exported("networks/<id>")(images)                  or model.pt2, or ONNX

timm's own transform prepares them, from what `config.json` says. Give it what `open_image` gives:
Pillow alone opens transparent, 16-bit and turned images otherwise than they were read in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nas.data.formats.pictures import open_image as _opened
from nas.errors import DataError
from nas.export.description import DataDescription
from nas.export.load import read_description


def open_image(folder: Path | str, file: Path | str) -> Image.Image:
    """An image file as the network in a folder was trained on: upright, grey or RGB, 8 bits.

    Raises:
        CheckpointError: the folder holds no exported network.
        DataError: the file cannot be read, or the network is not for image files.
    """
    return _open(read_description(folder).data, Path(file))


def prepare_files(folder: Path | str, files: Sequence[Path | str]) -> Tensor:
    """Image files as the input of the network in a folder, (N, C, R, R) float32.

    Raises:
        CheckpointError: the folder holds no exported network.
        DataError: a file cannot be read, or the network is not for image files.
    """
    from nas.export.formats.timm import preparation  # imports timm, which takes seconds
    from nas.timm_library import create_transform

    description = read_description(folder)
    transform = create_transform(**preparation(description), is_training=False)
    images = [transform(_open(description.data, Path(file))) for file in files]
    side, channels = description.architecture.resolution, description.data.in_channels
    return torch.stack(images) if images else torch.zeros(0, channels, side, side)


def _open(data: DataDescription, file: Path) -> Image.Image:
    if data.scale != 255.0:
        raise DataError(
            f"This network was trained on arrays of '{data.name}', not on pictures of 8 bits: "
            "prepare its images as `architecture.yaml` says."
        )
    return _opened(file, data.in_channels, data.levels)
