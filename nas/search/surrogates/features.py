"""What a surrogate sees of a code: the features of its space, and numbers known beside them.

The features of one gene are one group; each number beside them is a group of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import Codes, CodeSpace, Floats

Groups: TypeAlias = NDArray[np.integer[Any]]
"""A group for each feature, numbered from 0: (features,)."""


@runtime_checkable
class Grouped(Protocol):
    """A space that says which of its features belong to the same gene."""

    @property
    def feature_groups(self) -> Groups:
        """See `Groups`."""
        ...


def feature_groups(space: CodeSpace) -> Groups:
    """The space's own groups, or one for each feature."""
    if isinstance(space, Grouped):
        return space.feature_groups
    return np.arange(_width(space.features, space))


class Description:
    """The features of codes, and their groups.

    Args:
        space: Whose codes are described.
        beside: More that is known of codes (n, genes) without an evaluation: each (n, columns).
    """

    def __init__(self, space: CodeSpace, *beside: Callable[[Codes], Floats]) -> None:
        self._parts = (space.features, *beside)
        own = feature_groups(space)
        more = sum(_width(known, space) for known in beside)
        self.groups: Groups = np.append(own, own.max(initial=-1) + 1 + np.arange(more))

    def __call__(self, codes: Codes) -> Floats:
        """Features of codes (n, genes): (n, features)."""
        parts = [np.asarray(part(codes), dtype=float) for part in self._parts]
        columns = [part if part.ndim == 2 else part[:, None] for part in parts]
        return np.concatenate(columns, axis=1)


def _width(features: Callable[[Codes], Floats], space: CodeSpace) -> int:
    return int(np.size(features(space.sample(1, np.random.default_rng(0)))))
