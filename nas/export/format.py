"""What an export format is. A file in `formats/` defines one and registers it.

    FORMATS.register(Format("toy", file="model.toy", write=write, load=load))

`write` adds the format's file to a folder, `load` makes the file something that scores images, and
`export_network` compares those scores with the network's own before anything is put in place.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nas.errors import missing_extra
from nas.export.description import ExportDescription
from search_spaces.network import Network
from search_spaces.registry import Registry

Run = Callable[[Tensor], Tensor]
"""From images (batch, C, R, R) to scores (batch, classes)."""


@dataclass(frozen=True)
class Export:
    """One network on its way into files: all that a writer may need.

    Attributes:
        network: In eval mode, on the CPU, in float32.
        folder: Where it is written; the description and the weights are there already.
        images: Normalised images (n, C, R, R) to calibrate on. They are not an exporter's example:
            a file keeps its example, and these may be someone's own.
        tolerance: Largest difference from the network's own scores, as a share of the largest
            score; 0 is to the bit.
    """

    network: Network
    description: ExportDescription
    folder: Path
    images: Tensor
    tolerance: float = 0.0


@dataclass(frozen=True)
class Format:
    """A way to write a network, besides the description and the weights.

    Attributes:
        name: As `nas export --format` takes it; also the name of its module in `formats/`.
        load: Reads the file at a path back as something that scores images.
        tolerance: Of its exports: see `Export`.
        default: Whether a run writes it without being asked to.
        packages: Optional packages that it needs.
        extra: The extra of pyproject.toml that installs them.
        published: Told the network's id and folder when all its files are in place.
    """

    name: str
    file: str
    write: Callable[[Export], None]
    load: Callable[[Path], Run]
    tolerance: float = 0.0
    default: bool = False
    packages: tuple[str, ...] = ()
    extra: str = ""
    published: Callable[[str, Path], None] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)

    def require(self) -> None:
        """Check that the format can be used.

        Raises:
            MissingExtraError: a package is not installed.
        """
        for package in self.missing:
            raise missing_extra(package, self.extra, f"The export format '{self.name}'")


FORMATS: Registry[Format] = Registry("export format", "nas.export.formats")
"""Every format, in alphabetical order."""


def installed_formats() -> tuple[str, ...]:
    """The formats whose packages are installed."""
    return tuple(format.name for format in FORMATS if not format.missing)


def default_formats() -> tuple[str, ...]:
    """The formats that a run writes without being asked to."""
    return tuple(format.name for format in FORMATS if format.default)
