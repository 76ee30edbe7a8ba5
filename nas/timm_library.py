"""The one module that imports timm, and torchvision with it.

The compiled operators of torchvision do not load beside a torch from another index, such as PyPI's
torchvision beside a CPU build of torch: importing torchvision then fails with "operator
torchvision::nms does not exist", and so does importing timm. timm uses transforms and models of
torchvision, never those operators, so this module declares the two missing ones before it imports
timm. From then on `import timm` and `import torchvision` work anywhere in the process.

The import takes seconds, so others import from here inside the function that needs it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import library

from nas.errors import UnknownNameError, did_you_mean, unknown_name

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: library.Library | None = None
"""Kept here because torch forgets the operators of a library that is garbage-collected."""


def _declare_missing_operators() -> None:
    """Declare `torchvision::nms` and `qnms`, unless torchvision's own operators load."""
    global _declared
    package = importlib.util.find_spec("torchvision")
    folders = (package.submodule_search_locations if package else None) or []
    try:
        for file in (file for folder in folders for file in Path(folder).glob("_C.*")):
            torch.ops.load_library(str(file))  # type: ignore[no-untyped-call]
        torch.ops.torchvision.nms  # noqa: B018  (the look-up is the question)
    except (OSError, AttributeError):
        _declared = library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            _declared.define(f"{name}{_NMS}")  # type: ignore[no-untyped-call]


_declare_missing_operators()

from timm import create_model, list_models  # noqa: E402
from timm.data.auto_augment import rand_augment_transform  # noqa: E402
from timm.data.mixup import Mixup  # noqa: E402
from timm.data.transforms_factory import create_transform  # noqa: E402
from timm.layers.config import set_fused_attn, use_fused_attn  # noqa: E402
from timm.models import (  # noqa: E402
    PretrainedCfg,
    adapt_input_conv,
    build_model_with_cfg,
    get_pretrained_cfg,
    is_model,
    list_pretrained,
    model_entrypoint,
    register_model,
)
from timm.utils.model import reparameterize_model  # noqa: E402

__all__ = [
    "PretrainedCfg",
    "Mixup",
    "adapt_input_conv",
    "build_model_with_cfg",
    "cached_weights",
    "check_name",
    "create_model",
    "create_transform",
    "family_of",
    "folded",
    "input_shape",
    "is_model",
    "list_models",
    "rand_augment_transform",
    "register_model",
    "reparameterize_model",
    "shapes_only",
    "sized",
    "unfused_attention",
]


def check_name(name: str) -> None:
    """Check that timm has a model of that name, and the pretrained tag after its dot.

    Raises:
        UnknownNameError: it does not.
    """
    architecture, _, tag = name.partition(".")
    if not is_model(architecture):
        known = list_models()
        raise UnknownNameError(
            f"timm has no model '{architecture}'.{did_you_mean(architecture, known)} "
            f"`timm.list_models()` lists all {len(known):,}."
        )
    tags = [full.partition(".")[2] for full in list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown_name(f"pretrained tag of {architecture}", tag, tags)


def shapes_only(
    name: str,
    resolution: int | None = None,
    in_channels: int | None = None,
    num_classes: int | None = None,
) -> torch.nn.Module:
    """A timm model whose weights take no memory, if it can be built on meta tensors.

    Args:
        name: A model of timm, with or without its pretrained tag.
        resolution: Side of its images, if the model depends on it; None for its own.
    """
    asked = {"in_chans": in_channels, "num_classes": num_classes}
    changes = {field: value for field, value in asked.items() if value is not None}
    return _build(name, resolution, ("meta", "cpu"), changes)


def sized(name: str, resolution: int, channels: int, classes: int) -> torch.nn.Module:
    """A timm model with new weights for images of a size, and for a number of classes."""
    return _build(
        name, resolution, ("cpu",), {"in_chans": channels, "num_classes": classes}
    ).train()


_NO_ANSWER = "The hub does not answer; trying again for up to a minute."


class _SaidOnce(logging.Filter):
    """Makes one line of the many in which the hub tells each of its tries."""

    def __init__(self) -> None:
        super().__init__()
        self._said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        said = record.getMessage()
        tries = ("thrown while requesting", "Retrying in", _NO_ANSWER)  # the last: changed before
        if not any(words in said for words in tries):
            return True
        record.msg, record.args = _NO_ANSWER, ()
        first, self._said = not self._said, True
        return first


def with_weights(name: str, **changes: Any) -> torch.nn.Module:
    """A timm model with its published weights, from the hub's cache or downloaded now."""
    import huggingface_hub  # its import adds the handlers

    handlers = logging.getLogger(huggingface_hub.__name__).handlers
    filters = [(handler, _SaidOnce()) for handler in handlers]
    for handler, said in filters:
        handler.addFilter(said)
    try:
        return create_model(name, pretrained=True, **changes)
    finally:
        for handler, said in filters:
            handler.removeFilter(said)


def cached_weights(name: str) -> tuple[Path, tuple[float, ...], tuple[float, ...]] | None:
    """The weights of a timm model that were downloaded before; nothing is downloaded now.

    Returns:
        The file, and the mean and standard deviation per colour that they were trained with; None
        without a file.
    """
    from huggingface_hub import try_to_load_from_cache

    config = get_pretrained_cfg(name, allow_unregistered=True)
    if config is None or not config.hf_hub_id:
        return None
    file = try_to_load_from_cache(config.hf_hub_id, "model.safetensors")
    if not isinstance(file, str):
        return None
    return Path(file), tuple(config.mean), tuple(config.std)


def input_shape(model: torch.nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of the images that a timm model is made for."""
    config: Any = model.pretrained_cfg
    channels, height, width = config["input_size"]
    return channels, height, width


def _build(
    name: str,
    resolution: int | None,
    devices: tuple[str, ...],
    changes: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """A model of that size on the first device, or with its own size or on another device.

    Not every model takes a size, and not every one can be built on meta tensors.
    """
    sized: dict[str, Any] = {} if resolution is None else {"img_size": resolution}
    attempts = [(arguments, device) for arguments in (sized, {}) for device in devices]
    for i, (arguments, device) in enumerate(attempts):
        try:
            with torch.device(device):
                return create_model(name, **arguments, **(changes or {})).eval()
        except Exception:
            if i == len(attempts) - 1:
                raise
    raise AssertionError


def folded(name: str, resolution: int | None = None) -> torch.nn.Module:
    """A timm model with its parallel branches and norms folded, as it would be deployed."""
    return reparameterize_model(_build(name, resolution, ("cpu",)))


def family_of(name: str) -> str:
    """The module of timm that defines a model: `resnet` for resnet50."""
    return model_entrypoint(name.split(".")[0]).__module__.rpartition(".")[2]


@contextlib.contextmanager
def unfused_attention() -> Iterator[None]:
    """Models built within the block compute attention as products and a softmax."""
    before = use_fused_attn()
    set_fused_attn(False)
    try:
        yield
    finally:
        set_fused_attn(before)
