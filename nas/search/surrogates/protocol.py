"""What a searcher needs of a surrogate."""

from __future__ import annotations

from typing import Protocol

from nas.search.protocol import Floats


class Surrogate(Protocol):
    """Predicts one objective from features; its results do not depend on the number of threads."""

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        ...

    def believe(self, features: Floats) -> None:
        """Count what is being evaluated (p, f) as known to be what is predicted of it."""
        ...

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        ...
