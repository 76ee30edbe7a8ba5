"""What a searcher needs of a surrogate."""

from __future__ import annotations

from typing import Protocol

from nas.search.protocol import Floats


class Surrogate(Protocol):
    """Predicts one objective from features. Results do not depend on the number of threads."""

    def fit(self, features: Floats, targets: Floats) -> None:
        """Learn from all that was told: features (n, f), targets (n,), n >= 2."""
        ...

    def believe(self, features: Floats) -> None:
        """Count codes that are being evaluated, (p, f), as known, with their predicted values."""
        ...

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, each (p,)."""
        ...
