"""Mixer families, one file each in the folder of its group; importing this registers them all."""

from __future__ import annotations

import importlib
import pkgutil

_files = [m.name for m in pkgutil.walk_packages(__path__, f"{__name__}.") if not m.ispkg]
for _file in sorted(_files, key=lambda name: name.rpartition(".")[2]):
    importlib.import_module(_file)
