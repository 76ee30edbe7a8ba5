"""The stock networks to choose from: small, published models of timm, by family.

To add one, add its name to its family here. Families are in the order in which they are preferred.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from nas.baselines.weights import Weights
from search_spaces.data_shape import DataShape
from supernet.randomness import Stream, seeded

FAMILIES: dict[str, tuple[str, ...]] = {
    "EfficientNet-Lite": ("tf_efficientnet_lite0",),
    "MobileNetV4": ("mobilenetv4_conv_small", "mobilenetv4_conv_medium"),
    "MobileNetV3": ("mobilenetv3_small_100", "mobilenetv3_large_100"),
    "EfficientViT": ("efficientvit_b0", "efficientvit_b1"),
    "RepViT": ("repvit_m0_9", "repvit_m1_1"),
    "HGNetV2": ("hgnetv2_b0", "hgnetv2_b2"),
    "LeViT": ("levit_128s", "levit_192"),
    "LCNet": ("lcnet_050", "lcnet_100"),
    "TinyViT": ("tiny_vit_5m_224",),
}


def family_of(name: str) -> str:
    """The family of a stock network; that of any other model is its own name."""
    return next((family for family, names in FAMILIES.items() if name in names), name)


def check_names(names: Iterable[str]) -> None:
    """Check that timm has models of these names.

    Raises:
        UnknownNameError: one is unknown.
    """
    from nas import timm_library  # takes seconds to import

    for name in names:
        timm_library.check_name(name)


def build(
    name: str, side: int, shape: DataShape, seed: int = 0, weights: Weights | None = None
) -> nn.Module:
    """A model of timm for images of a size and number of classes.

    Args:
        name: The model.
        side: Height and width of its images in pixels.
        shape: Channels of an image and number of classes.
        seed: Decides new weights.
        weights: Published ones to start from; the last layer is new in any case.

    Raises:
        SettingsError: the model does not run on images of that size.
    """
    from nas import timm_library

    with seeded(seed, Stream.OWN_WEIGHTS):
        network = timm_library.sized(name, side, shape.channels, shape.classes)
    if weights is not None:
        load(network, weights, shape)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def load(network: nn.Module, weights: Weights, shape: DataShape) -> None:
    """Fill a network with published weights, except for its last layer.

    The first convolution of published weights sees three colours. For images of another number of
    channels it is spread over them, as timm does.
    """
    from nas import timm_library

    own, found = network.state_dict(), weights.read(list(network.state_dict()))
    config: Any = network.pretrained_cfg
    first = config["first_conv"]
    for name in [first] if isinstance(first, str) else first:
        weight = f"{name}.weight"
        found[weight] = timm_library.adapt_input_conv(shape.channels, found[weight])
    fitting = {name: t for name, t in found.items() if own[name].shape == t.shape}
    own.update(fitting)
    network.load_state_dict(own)


def as_deployed(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, its parallel branches and norms folded into one."""
    from nas import timm_library

    return timm_library.reparameterize_model(network.eval())
