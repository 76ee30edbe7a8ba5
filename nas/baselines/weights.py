"""Published weights of stock networks, where this machine has them; nothing is downloaded.

package     the one that carries a donor's weights, from the extra `pretrained`
hub cache   those that timm downloaded before
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nas.pretrained.sources import package_file, read_weights
from search_spaces.published import PUBLISHED

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Weights:
    """A file of published weights.

    Attributes:
        source: Where they come from, in words.
        file: A state dict, `.pth` or `.safetensors`.
        mean: Per colour, of pixels between 0 and 1; what the weights were trained with.
        std: Per colour.
    """

    source: str
    file: Path
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def read(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The tensors of a model by its names; a file with other names has them in its order.

        Args:
            names: Those of the model's weights and buffers, in its order.
        """
        found = {name: t for name, t in read_weights(self.file).items() if _counts(name)}
        wanted = [name for name in names if _counts(name)]
        if set(found) & set(wanted) or len(found) != len(wanted):
            return {name: found[name] for name in wanted if name in found}
        return dict(zip(wanted, found.values(), strict=True))


def weights_of(name: str) -> Weights | None:
    """The published weights of a model of timm that lie on this machine; None without any."""
    return _in_package(name) or _in_cache(name)


def _in_package(name: str) -> Weights | None:
    for published in PUBLISHED:
        if published.name == name and published.package is not None:
            file = package_file(published.package)
            source = f"package {published.package}"
            return None if file is None else Weights(source, file, published.mean, published.std)
    return None


def _in_cache(name: str) -> Weights | None:
    from nas import timm_library  # takes seconds to import

    found = timm_library.cached_weights(name)
    return None if found is None else Weights(f"timm's {name}", *found)


def _counts(name: str) -> bool:
    """Whether it is more than the number of batches that a norm has seen."""
    return not name.endswith(_COUNTER)
