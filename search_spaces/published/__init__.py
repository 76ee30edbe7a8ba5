"""Published networks as architectures of ours, one family per file.

Each file says which architecture a network is and which of its weights is which of ours:

    published = PUBLISHED["tf_efficientnet_lite0"]
    network = build_network(published.architecture(224), DataShape(3, 1000))
    network.load_state_dict(published.weights(state))        # timm's state_dict()
    network(images)                                          # timm's scores

To add one, add a file here that ends in `PUBLISHED.register(Published(...))`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.errors import WeightsError
from search_spaces.network import build_network
from search_spaces.registry import Registry

State = Mapping[str, Tensor]
"""Weights and buffers by name."""
Naming = Iterator[tuple[str, str]]
"""Pairs of names in our network and in the published one.

The names of two layers pair their weights of equal names; the names of two weights pair these.
"""

CLASSES = 1000
"""Classes of ImageNet, which all of these networks were trained on."""
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Published:
    """A published network."""

    name: str
    """As timm calls it."""
    architecture: Callable[[int], Architecture]
    """The same network at a resolution."""
    naming: Callable[[Architecture], Naming]
    resolution: int
    """Side of the images that it was trained on."""
    paper: str
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What pictures were normalised with, on a scale of 0 to 1."""
    turned: bool = False
    """Whether kernels are turned by 180 degrees, because the stem turns the image."""
    package: str | None = None
    """A package of the Python registry that carries its weights."""
    split: Callable[[State], State] = dict
    """Takes apart what the published network keeps in one weight and ours in several."""

    def weights(self, state: State, source: str = "The weights") -> dict[str, Tensor]:
        """All weights and buffers of our network with its own classes, from the published ones.

        Args:
            state: By timm's names, or by others in timm's order.
            source: What to call them in messages.

        Raises:
            WeightsError: they are not those of this network.
        """
        network = build_network(self.architecture(self.resolution), DataShape(3, CLASSES))
        theirs = self.split(self._named(state, source))
        pairs = dict(self.naming(network.architecture))
        found: dict[str, Tensor] = {}
        for name, tensor in network.state_dict().items():
            if name.endswith(_COUNTER):
                found[name] = tensor
            else:
                found[name] = self._checked(theirs, _paired(name, pairs), tensor, source)
        return found

    def _checked(self, theirs: State, name: str, like: Tensor, source: str) -> Tensor:
        """A weight in our orientation, if its shape is right.

        A linear layer of ours may be a 1x1 convolution there, and the reverse.
        """
        if name not in theirs:
            raise WeightsError(
                f"{source} are not those of {self.name}: there is no '{name}'. Choose another "
                "file, or another network with --pretrained."
            )
        weight = theirs[name].to(like.dtype)
        if [n for n in weight.shape if n > 1] == [n for n in like.shape if n > 1]:
            weight = weight.reshape(like.shape)
        if weight.shape != like.shape:
            raise WeightsError(
                f"{source} are not those of {self.name}: '{name}' has the shape "
                f"{tuple(weight.shape)} instead of {tuple(like.shape)}. Choose another file, or "
                "another network with --pretrained."
            )
        return weight.flip((2, 3)) if self.turned and weight.ndim == 4 else weight

    def _named(self, state: State, source: str) -> dict[str, Tensor]:
        """The state by timm's names; other names are replaced by those in the same order."""
        names = list(dict.fromkeys(self.published_names()))
        state = {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTER)}
        if set(names) <= set(state) or len(names) != len(state):
            return state
        return dict(zip(names, state.values(), strict=True))

    def published_names(self) -> Iterator[str]:
        """Names of the published network's weights and buffers, in its order, without counters."""
        architecture = self.architecture(self.resolution)
        with torch.device("meta"):
            ours = build_network(architecture, DataShape(3, CLASSES)).state_dict()
        pairs = dict(self.naming(architecture))
        for name in ours:
            if not name.endswith(_COUNTER):
                yield _paired(name, pairs)


def _paired(name: str, pairs: Mapping[str, str]) -> str:
    """The published name of a weight of ours."""
    layer, _, kind = name.rpartition(".")
    return pairs[name] if name in pairs else f"{pairs[layer]}.{kind}"


PUBLISHED: Registry[Published] = Registry(
    "published network", "search_spaces.published", "Their names are those of timm."
)
