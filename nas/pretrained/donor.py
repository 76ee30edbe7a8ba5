"""A donor: a published network, its weights, and where they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.data_shape import DataShape
from search_spaces.network import Network, build_network
from search_spaces.published import Published
from supernet.randomness import Stream, seeded

_FIRST, _LAST = "stem.body.conv.weight", "head.body.classifier."


@dataclass(frozen=True, eq=False)
class Donor:
    """A published network with its weights."""

    published: Published
    weights: dict[str, Tensor]
    """Of our network with ImageNet's classes, by its names."""
    source: str
    """Where the weights were read from, in words."""
    licence: str

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the weights."""
        whole = hashlib.sha256(self.published.name.encode())
        for name in sorted(self.weights):
            whole.update(name.encode())
            whole.update(self.weights[name].contiguous().numpy().tobytes())
        return whole.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Name, source, licence and digest, for a run's record and an export's description."""
        return {
            "network": self.published.name,
            "paper": self.published.paper,
            "source": self.source,
            "licence": self.licence,
            "digest": self.digest,
        }

    def network(self, resolution: int, data_shape: DataShape, seed: int = 0) -> Network:
        """The donor as a network for other images and classes, in eval mode.

        Args:
            resolution: Side of the images.
            data_shape: Channels of the images and number of classes. The first convolution is
                adapted to the channels; the classifier is new unless there are 1000 classes.
            seed: Of a new classifier.
        """
        with seeded(seed, Stream.OWN_WEIGHTS):
            network = build_network(self.published.architecture(resolution), data_shape)
        own = network.state_dict()
        weights = dict(self.weights)
        weights[_FIRST] = adapted(weights[_FIRST], data_shape.channels)
        for name in [name for name in weights if name.startswith(_LAST)]:
            if weights[name].shape != own[name].shape:
                weights[name] = own[name]
        network.load_state_dict(weights)
        return network.eval()

    def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation that pictures need; None for other than grey and colour."""
        mean, std = self.published.mean, self.published.std
        if channels == 3:
            return mean, std
        return ((sum(mean) / 3,), (sum(std) / 3,)) if channels == 1 else None

    def adapts(self, channels: int) -> str:
        """What becomes of the first convolution, as a person is told; empty if it is kept."""
        if channels == 3:
            return ""
        how = (
            "its weights for red, green and blue are added up for the one channel of these images"
            if channels == 1
            else f"its weights for red, green and blue are repeated for the {channels} channels "
            "of these images"
        )
        return f"the first convolution of {self.published.name} is adapted: {how}"


def adapted(weight: Tensor, channels: int) -> Tensor:
    """A first convolution (out, 3, k, k) for images with other channels.

    Grey is the sum over the colours. With more channels the colours are repeated and scaled so
    that equal channels give the same map. As in timm's `adapt_input_conv`.
    """
    colours = weight.shape[1]
    if channels == colours:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-channels // colours), 1, 1)[:, :channels]
    return repeated * (colours / channels)


def frozen(module: nn.Module) -> nn.Module:
    """A network that is only asked, never trained."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.eval()


def detached(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in main memory without history."""
    return {
        name: tensor.detach().to(device="cpu", dtype=torch.float32)
        for name, tensor in state.items()
    }
