"""The one module that imports timm, and torchvision with it.

torchvision's compiled operators do not load beside a torch of another build (the PyPI wheel beside
a CPU-only torch: "operator torchvision::nms does not exist"), and timm fails with it. timm needs
transforms and models, never those operators: declaring the two schemas is enough for the import.

The import takes seconds, so others import from here inside the function that needs it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: torch.library.Library | None = None
"""Holds the declarations: torch forgets the schemas of a library that is garbage-collected."""


def _declare_missing_operators() -> None:
    """Declares `torchvision::nms` and `qnms`, unless torchvision's own operators load."""
    global _declared
    package = importlib.util.find_spec("torchvision")
    folders = (package.submodule_search_locations if package else None) or []
    try:
        for library in (file for folder in folders for file in Path(folder).glob("_C.*")):
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        torch.ops.torchvision.nms  # noqa: B018  (the look-up is the question)
    except (OSError, AttributeError):
        _declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            _declared.define(f"{name}{_NMS}")  # type: ignore[no-untyped-call]


_declare_missing_operators()

from timm import create_model  # noqa: E402
from timm.data.auto_augment import rand_augment_transform  # noqa: E402
from timm.data.mixup import Mixup  # noqa: E402
from timm.models import build_model_with_cfg, is_model, register_model  # noqa: E402

__all__ = [
    "Mixup",
    "build_model_with_cfg",
    "create_model",
    "is_model",
    "rand_augment_transform",
    "register_model",
]
