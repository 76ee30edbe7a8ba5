"""What the data asks of a network: how many channels it reads, how many classes it tells apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataShape:
    """Channels of an image and number of classes. The resolution belongs to the architecture."""

    channels: int = 3
    classes: int = 10

    def __str__(self) -> str:
        """In words."""
        several = "s" if self.channels > 1 else ""
        return f"{self.channels} image channel{several} and {self.classes} classes"
