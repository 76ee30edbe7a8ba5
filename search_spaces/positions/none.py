"""No positions: the map as it is; an architecture without positions has no such part.

Paper: MetaFormer, Yu et al. 2021, https://arxiv.org/abs/2111.11418 (Section 4)
"""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces.family import POSITIONS, Family, Options


class NoPosition(nn.Module):
    """No positions."""

    def __init__(self, dim: int, options: Options) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """The map itself."""
        return x


POSITIONS.register(
    Family("none", Options, NoPosition, paper="https://arxiv.org/abs/2111.11418", nested=("dim",))
)
