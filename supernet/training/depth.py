"""How deep a parameter lies, for learning rates that grow with the depth.

    rate of a place = peak * decay ^ (places behind it)

Places are the stem (with the position), each block (with the downsampling before it) and the head,
by the names that `search_spaces.parts` gives them. Paper: BEiT, Bao et al. 2021, https://arxiv.org/abs/2106.08254
(Appendix), after ULMFiT, Howard and Ruder 2018, https://arxiv.org/abs/1801.06146 (Section 3.2)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_BLOCK = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)|downsampling)\.")
_FIRST, _LAST = (-1.0, 0.0), (math.inf, 0.0)


def rate_shares(names: Iterable[str], decay: float) -> dict[str, float]:
    """The share of the learning rate that each parameter gets, by its name.

    Args:
        names: Of all parameters of a network or a supernet.
        decay: The share of the rate behind it that a place gets; 1 for the same rate everywhere.
    """
    place = {name: _place(name) for name in names}
    order = {each: number for number, each in enumerate(sorted(set(place.values())))}
    return {name: decay ** (len(order) - 1 - order[each]) for name, each in place.items()}


def _place(name: str) -> tuple[float, float]:
    """Stage and block; stem and position come before all, anything else (the head) after all."""
    if name.startswith(("stem.", "position.")):
        return _FIRST
    found = _BLOCK.match(name)
    return _LAST if found is None else (float(found[1]), float(found[2] or 0))
