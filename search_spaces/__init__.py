"""Search spaces: the architectures to choose from, and the plain network of each.

Names are imported when they are first used, so that `search_spaces.errors` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_spaces.architecture import Architecture
    from search_spaces.data_shape import DataShape
    from search_spaces.network import Network, build_network
    from search_spaces.parts import Part, parts_of
    from search_spaces.space import SearchSpace, load_space, space_names

_HOMES = {
    "Architecture": "architecture",
    "DataShape": "data_shape",
    "Network": "network",
    "Part": "parts",
    "SearchSpace": "space",
    "build_network": "network",
    "load_space": "space",
    "parts_of": "parts",
    "space_names": "space",
}

__all__ = [
    "Architecture",
    "DataShape",
    "Network",
    "Part",
    "SearchSpace",
    "build_network",
    "load_space",
    "parts_of",
    "space_names",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'search_spaces' has no attribute '{name}'")
    return getattr(importlib.import_module(f"search_spaces.{_HOMES[name]}"), name)
