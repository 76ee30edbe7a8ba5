"""A network by its file: one of ours, or a stock one. Plain data, so that any process can load it.

An exported network of ours is a folder with `architecture.yaml`; a trained stock network is a
folder with `network.safetensors`; a stock network without a folder has new weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nas.baselines.networks import as_deployed, build
from nas.errors import SettingsError
from nas.export import load_exported
from search_spaces.data_shape import DataShape
from supernet.training.checkpoint import from_bytes

STOCK_FILE = "network.safetensors"


@dataclass(frozen=True)
class Model:
    """Where a network is, and what it takes.

    Attributes:
        side: Height and width of its images in pixels.
        shape: Channels of an image and number of classes.
        stock: The name of a stock network; None for one of ours.
        folder: Its file's folder.
    """

    side: int
    shape: DataShape
    stock: str | None = None
    folder: str | None = None

    def load(self) -> nn.Module:
        """The network in evaluation mode, as it is deployed.

        Raises:
            CheckpointError: the file is missing or damaged.
            SettingsError: timm cannot build the stock network for such images.
        """
        if self.stock is None:
            assert self.folder is not None
            return load_exported(self.folder)
        try:
            network = build(self.stock, self.side, self.shape)
        except Exception as error:  # whatever timm raises
            raise SettingsError(
                f"The stock network '{self.stock}' cannot be built for images of {self.side} px "
                f"and {self.shape.channels} channels ({error}). Leave it out of --baselines."
            ) from error
        if self.folder is not None:
            path = Path(self.folder) / STOCK_FILE
            tensors, _ = from_bytes(path.read_bytes(), str(path))
            network.load_state_dict(tensors)
        return as_deployed(network)

    def images(self, batch: int) -> tuple[int, int, int, int]:
        """The shape of a batch of its images."""
        return batch, self.shape.channels, self.side, self.side

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Model:
        """What `to_dict` gave."""
        return cls(**{**values, "shape": DataShape(**values["shape"])})
