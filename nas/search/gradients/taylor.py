"""The change of the loss when a smaller choice drops weights: a first-order Taylor term.

    w   a shared weight, S the entries of the child's weights that the smaller choice does not use

    dL = -sum_{w in S} w dL/dw                           the entries in S set to zero       (1)

Paper: NViT, Yang et al. 2023, https://arxiv.org/abs/2110.04869 (Section 3.2, Taylor saliency)
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from search_spaces.slicing import Cut
from supernet.slicing import view


class TaylorTerms:
    """Equation (1) for any smaller choice.

    Args:
        cuts: Which entries of each shared weight the child uses, by name.
        weights: The shared weights, by name.
        gradients: Gradients of the loss with respect to them.
    """

    def __init__(
        self,
        cuts: Mapping[str, Cut],
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
    ) -> None:
        self._cuts, self._weights = cuts, weights
        self._shares = {name: weights[name] * gradients[name] for name in cuts}
        self._totals = {name: float(share.sum()) for name, share in self._shares.items()}

    def change(self, kept: Mapping[str, Cut]) -> float:
        """The change of the loss when only the entries `kept` stay.

        NaN if `kept` has entries that the child does not use, or drops none.
        """
        cuts = self._cuts
        smaller = cuts.keys() >= kept.keys() and all(
            _within(kept[name], cuts[name], self._weights[name]) for name in kept
        )
        if not smaller or kept == cuts:
            return float("nan")
        changed = [name for name in cuts if kept.get(name) != cuts[name]]
        left = [float(view(self._shares[n], kept[n]).sum()) for n in changed if n in kept]
        return sum(left) - sum(self._totals[name] for name in changed)


def _within(smaller: Cut, larger: Cut, weight: Tensor) -> bool:
    """Whether a cut of a weight lies within another one."""
    inner = {dim: (start, start + length) for dim, start, length in smaller}
    return all(
        dim in inner and start <= inner[dim][0] and inner[dim][1] <= start + length
        for dim, start, length in larger
    )
