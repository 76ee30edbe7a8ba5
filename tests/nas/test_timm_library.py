"""The one module that imports timm."""

from __future__ import annotations

import re
from pathlib import Path

import nas
from nas import timm_library as vision


def test_timm_builds_a_model() -> None:
    model = vision.create_model("resnet18", num_classes=7, pretrained=False)
    assert model.get_classifier().out_features == 7


def test_no_other_module_imports_timm_or_torchvision() -> None:
    root = Path(nas.__file__).parents[1]
    files = [
        path
        for name in ("nas", "search_spaces", "supernet")
        for path in root.glob(f"{name}/**/*.py")
    ]
    imports = re.compile(r"^\s*(import|from) (timm|torchvision)\b", re.MULTILINE)
    importing = [path.name for path in files if imports.search(path.read_text())]
    assert len(files) > 10
    assert importing == ["timm_library.py"]
