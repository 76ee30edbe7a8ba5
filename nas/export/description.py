"""`architecture.yaml`: an exported network in words, and what its images have to look like.

    id: 0123456789ab
    data: {name: digits, in_channels: 1, scale: 255.0, mean: [0.3], std: [0.4], classes: [...]}
    scores: {test_accuracy: 0.99}
    weights: {file: model.safetensors, sha256: ...}
    pretrained: {network: tf_efficientnet_lite0, source: ..., licence: ...}     if there was one
    architecture: {resolution: 16, stem: ..., stages: ..., head: ...}

YAML, so that a person can read it; `read_architecture` reads a bare architecture as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from nas.data.images import EIGHT_BITS, Splits
from nas.errors import CheckpointError, SpaceError, reason
from nas.reading import Fit
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape

Interpolation = Literal["bicubic", "bilinear"]
SCHEMA = 1
ARCHITECTURE_FILE = "architecture.yaml"
WEIGHTS_FILE = "model.safetensors"

_HEAD = """\
# A vision network found by architecture search. It runs without the search:
#     from nas.export import load_exported
#     network = load_exported("{folder}")      # a plain torch.nn.Module, in eval mode
# Images: (batch, {channels}, {side}, {side}) float32. {fit} to {side} x {side} pixels,
#     then (pixels / scale - mean) / std, per channel. Scores come in the order of `classes`.
"""


_FITTED: dict[Fit, str] = {
    "crop": "Scale the shorter side and crop the centre",
    "squash": "Resize both sides",
    "pad": "Scale the longer side and pad with the mean",
}


@dataclass(frozen=True)
class DataDescription:
    """The images that a network was trained on: how to prepare others, and what its scores mean.

    Attributes:
        classes: Names in the order of the scores.
        mean: Per channel; subtracted from pixels / scale.
        std: Per channel; the difference is divided by it.
        scale: 255 for uint8 pictures, 1 for float data.
        fit: How images that are not square become square: crop, squash or pad.
        levels: Of files with more than 8 bits: the least level, and the range that becomes 0 to
            255.
        side: Of the square that files became before they were resized to a network's resolution;
            None for what is no picture, or not square.
    """

    name: str
    classes: tuple[str, ...]
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    fit: Fit = "squash"
    levels: tuple[float, float] = EIGHT_BITS
    side: int | None = None

    @classmethod
    def of(cls, data: Splits) -> DataDescription:
        """The description of a data set."""
        norm = data.normalisation
        height, width = data.native_size
        return cls(
            data.name,
            data.classes,
            data.shape.channels,
            norm.mean,
            norm.std,
            norm.scale,
            data.fit,
            data.levels,
            height if height == width and norm.scale == 255.0 else None,
        )

    @property
    def shape(self) -> DataShape:
        """Channels of an image and number of classes."""
        return DataShape(self.in_channels, len(self.classes))

    def interpolation(self, resolution: int) -> Interpolation:
        """How files are resized: images are read with cubic, then resized with linear weights."""
        return "bicubic" if resolution == self.side else "bilinear"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON or YAML."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataDescription:
        """Read what `to_dict` wrote."""
        fixed: dict[str, Any] = {k: tuple(v) if type(v) is list else v for k, v in values.items()}
        return cls(**fixed)


@dataclass(frozen=True)
class ExportDescription:
    """All of `architecture.yaml`."""

    architecture: Architecture
    data: DataDescription
    scores: Mapping[str, float]
    weights_sha256: str
    pretrained: Mapping[str, Any] | None = None
    """The published network whose weights training began with: source, licence, paper."""

    def to_yaml(self, folder: str) -> str:
        """The file's text; `folder` is named in the comment on how to load it."""
        document = {
            "schema": SCHEMA,
            "id": self.architecture.id,
            "data": self.data.to_dict(),
            "scores": dict(self.scores),
            "weights": {"file": WEIGHTS_FILE, "sha256": self.weights_sha256},
            **({"pretrained": dict(self.pretrained)} if self.pretrained else {}),
            "architecture": self.architecture.to_dict(),
        }
        head = _HEAD.format(
            folder=folder,
            channels=self.data.in_channels,
            side=self.architecture.resolution,
            fit=_FITTED[self.data.fit],
        )
        return head + yaml.safe_dump(
            document, sort_keys=False, default_flow_style=None, width=98, allow_unicode=True
        )

    @classmethod
    def from_yaml(cls, text: str, source: str) -> ExportDescription:
        """Read what `to_yaml` wrote; `source` is its name in messages.

        Raises:
            CheckpointError: it is damaged, or not an exported network.
        """
        try:
            document = yaml.safe_load(text)
            if document["schema"] != SCHEMA:
                raise ValueError(f"it has schema {document['schema']!r}, not {SCHEMA}")
            return cls(
                architecture=Architecture.from_dict(document["architecture"]),
                data=DataDescription.from_dict(document["data"]),
                scores=document["scores"],
                weights_sha256=document["weights"]["sha256"],
                pretrained=document.get("pretrained"),
            )
        except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{source}' does not describe an exported network: {error}. Export it anew."
            ) from None


def read_architecture(path: Path) -> Architecture:
    """The architecture in a file, which may also describe an exported network or be its folder.

    Raises:
        SpaceError: the file is missing, or holds no architecture.
    """
    file = path / ARCHITECTURE_FILE if path.is_dir() else path
    try:
        text = file.read_text()
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpaceError(f"Cannot read an architecture from '{file}': {reason(error)}.") from None
    if isinstance(document, Mapping) and "architecture" in document:
        document = document["architecture"]
    return Architecture.from_dict(document)
