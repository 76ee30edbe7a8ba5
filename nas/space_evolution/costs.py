"""The cost at which architectures are compared, and the limits that they keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import InfeasibleError
from nas.latency import CostTable, Prediction, Predictor
from nas.search.asking.candidates import Candidates
from nas.search.objectives import Budgets, Measures
from nas.search.protocol import Codes, Floats
from nas.units import format_count, format_ms
from search_spaces import SearchSpace

FEWEST = 10
"""With fewer architectures within the limits nothing can be learnt."""
SAMPLES = 2000
TRIES = 10


@dataclass(frozen=True)
class Limits:
    """Limits that every evaluated architecture keeps; None is no limit."""

    latency_ms: float | None = None
    """Compared with the upper end of the prediction's interval."""
    max_macs: float | None = None
    max_params: float | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(limit is not None for limit in vars(self).values())

    def __str__(self) -> str:
        said = []
        if self.latency_ms is not None:
            said.append(f"--budget {format_ms(self.latency_ms).replace(' ', '')}")
        if self.max_macs is not None:
            said.append(f"--max-macs {format_count(self.max_macs)}")
        if self.max_params is not None:
            said.append(f"--max-params {format_count(self.max_params)}")
        return " ".join(said)


@dataclass(frozen=True)
class Costs:
    """What is known of a space's architectures without evaluating them."""

    space: SearchSpace
    table: CostTable
    predictor: Predictor | None
    """Of the latency; without one, multiply-adds are compared."""
    limits: Limits

    def compared(self, codes: Codes) -> Floats:
        """Milliseconds, or multiply-adds where there is no predictor: (n,)."""
        if self.predictor is None:
            return self.table.macs(codes)
        ms: Floats = self.predictor.predict(codes).ms
        return ms

    def excess(self, codes: Codes) -> Floats:
        """How far above each limit: value / limit - 1, (n, limits set), kept where <= 0."""
        unknown, limits = np.full(len(codes), np.nan), self.limits
        found = Prediction(unknown, unknown, unknown)
        if self.predictor is not None:
            found = self.predictor.predict(codes)
        measures = Measures(
            latency_ms=found.ms[:, None],
            low_ms=found.low_ms[:, None],
            high_ms=found.high_ms[:, None],
            macs=self.table.macs(codes),
            params=self.table.params(codes),
            memory_mib=unknown,
        )
        return Budgets(
            ((limits.latency_ms,),), max_macs=limits.max_macs, max_params=limits.max_params
        ).excess(measures)

    def any_within(self, rng: np.random.Generator) -> bool:
        """Whether some of 2,000 samples keep the limits."""
        excess = self.excess(self.space.sample(SAMPLES, rng))
        return bool((excess <= 0).all(axis=1).any())

    def within_limits(self, n: int, rng: np.random.Generator) -> Codes:
        """Distinct architectures that keep the limits, at most n: (<= n, genes).

        The first ones that sampling gives, so that values are as frequent as in samples. If the
        limits leave too few, those that mutation and descent find are added.

        Raises:
            InfeasibleError: there are too few to learn anything from.
        """
        codes: Codes = self.space.sample(0, rng)
        for _ in range(TRIES):
            if len(codes) >= n:
                break
            drawn = self.space.sample(SAMPLES, rng)
            kept = drawn[(self.excess(drawn) <= 0).all(axis=1)]
            codes = _distinct(np.concatenate([codes, kept]))
        candidates = Candidates(self.space, rng, self.excess)
        candidates.mark(codes)
        codes = np.concatenate([codes[:n], candidates.take(max(0, n - len(codes)))])
        if len(codes) >= FEWEST:
            return codes
        said = f" that keep {self.limits}" if self.limits else ""
        raise InfeasibleError(
            f"Only {len(codes)} architectures of '{self.space.name}'{said} were found; to compare "
            f"values, at least {FEWEST} are needed. "
            f"{'Raise the limits, or choose' if said else 'Choose'} another space (`nas spaces`)."
        )


def _distinct(codes: Codes) -> Codes:
    """Each code once, where it stands first."""
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
