"""Search spaces: what can be chosen, and the plain network each choice describes."""

from __future__ import annotations

from search_spaces.architecture import Architecture
from search_spaces.network import Network, build_network
from search_spaces.parts import Part, parts_of
from search_spaces.space import SearchSpace, load_space, space_names

__all__ = [
    "Architecture",
    "Network",
    "Part",
    "SearchSpace",
    "build_network",
    "load_space",
    "parts_of",
    "space_names",
]
