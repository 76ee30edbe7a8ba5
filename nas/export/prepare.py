"""Image files as an exported network has to see them, whatever format it is loaded from.

    images = prepare_files("networks/<id>", ["a.jpg", "b.png"])      (2, C, R, R)
    scores = load_exported("networks/<id>")(images)                  or model.pt2, or ONNX

timm's own transform, made from `config.json`, prepares them alike. Give it what `open_image`
gives: Pillow alone opens transparent, 16-bit and turned images otherwise than they were read.
Where the network's resolution is the side of the images it was scored on, these are the pixels
that were scored; else those were resized twice, to that side and then to the resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data.formats.picture_file import open_image as _opened
from nas.data.formats.squares import CUBIC, LINEAR, to_square
from nas.data.images import Normalisation
from nas.data.margins import margin_of
from nas.errors import DataError
from nas.export.description import DataDescription, Interpolation
from nas.export.load import read_description

_RESAMPLING: dict[Interpolation, Image.Resampling] = {"bicubic": CUBIC, "bilinear": LINEAR}


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
    description = read_description(folder)
    data, side = description.data, description.architecture.resolution
    margin = margin_of(data.mean)
    resampling = _RESAMPLING[data.interpolation(side)]
    pixels = np.empty((len(files), side, side, data.in_channels), dtype=np.uint8)
    for place, file in zip(pixels, files, strict=True):
        picture = _open(data, Path(file))
        square = to_square(picture, side, data.fit, resampling, margin)
        place[...] = np.asarray(square).reshape(place.shape)
    normalised = Normalisation(data.mean, data.std, data.scale).apply(pixels)
    return torch.from_numpy(normalised.transpose(0, 3, 1, 2).copy())


def _open(data: DataDescription, file: Path) -> Image.Image:
    if data.scale != 255.0:
        raise DataError(
            f"This network was trained on arrays of '{data.name}', not on pictures of 8 bits: "
            "prepare its images as `architecture.yaml` says."
        )
    return _opened(file, data.in_channels, data.levels, data.side)
