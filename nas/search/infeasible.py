"""The message for budgets that no architecture is within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nas.errors import InfeasibleError
from nas.search.objectives import Budgets, Measures, cost, limits_in_words
from nas.search.protocol import Floats
from nas.units import format_ms

_COSTS = {
    "max_macs": ("{:,.0f} MACs", "--max-macs"),
    "max_params": ("{:,.0f} parameters", "--max-params"),
    "max_memory_mib": ("{:.3g} MiB of activations", "--max-memory"),
}


@dataclass(frozen=True)
class Miss:
    """Budgets that no architecture is within."""

    budgets: Budgets
    """The budgets, with one budget set."""
    nearest: Measures
    """Measures of the nearest architecture, (1,)."""


@dataclass(frozen=True)
class Described:
    """The names that the message uses."""

    space: str
    targets: Sequence[str]
    """Each target in words, such as "cpu (float32, batch 1, 2 threads)"."""
    names: Sequence[str]
    """The targets' short names, such as "cpu"."""
    samples: int
    some_kept: bool
    """Whether other budget sets can be kept."""

    @property
    def advice(self) -> str:
        """Ways out other than raising a budget."""
        remove = ", leave out what is too tight" if self.some_kept else ""
        return f"{remove}, or choose a smaller space (`nas spaces`)."


class _Limit(NamedTuple):
    """One limit in words: what was asked, what the nearest needs, and its option."""

    asked: str
    needed: str
    option: str
    exceeded: bool


def infeasible(missed: Sequence[Miss], fastest_ms: Floats, about: Described) -> InfeasibleError:
    """The error that names the budgets and says what the nearest architecture needs.

    Args:
        missed: The budgets, at least one.
        fastest_ms: The smallest upper end of a latency on each target.
        about: Names for the message.
    """
    first = missed[0]
    if len(about.targets) == 1 and not first.budgets.costs():
        sets = (miss.budgets.budget_sets[0] for miss in missed)
        limits = " or ".join(limits_in_words(each, about.names) for each in sets)
        return InfeasibleError(
            f"No architecture of '{about.space}' runs within {limits}{_on(about.targets[0])}:\n"
            f"the fastest of {about.samples:,} is predicted to take up to "
            f"{format_ms(fastest_ms[0])}. Raise --budget{about.advice}"
        )
    every = [*_latency_limits(first, about), *_cost_limits(first)]
    options = dict.fromkeys(limit.option for limit in every if limit.exceeded)
    return InfeasibleError(
        f"No architecture of '{about.space}' keeps within "
        f"{' and '.join(limit.asked for limit in every)}:\n"
        f"the nearest of {about.samples:,} needs "
        f"{' and '.join(limit.needed for limit in every)}. "
        f"Raise {' or '.join(options)}{about.advice}"
    )


def _latency_limits(miss: Miss, about: Described) -> list[_Limit]:
    several = len(about.targets) > 1
    found = []
    for target, limit in enumerate(miss.budgets.budget_sets[0]):
        if limit is not None:
            high = float(miss.nearest.high_ms[0, target])
            asked = f"a latency of {format_ms(limit)}{_on(about.targets[target])}"
            needed = f"a latency of {format_ms(high)}{_on(about.names[target] if several else '')}"
            found.append(_Limit(asked, needed, "--budget", high > limit))
    return found


def _cost_limits(miss: Miss) -> list[_Limit]:
    found = []
    for name, limit in miss.budgets.costs().items():
        words, option = _COSTS[name]
        value = float(cost(name, miss.nearest)[0])
        found.append(_Limit(words.format(limit), words.format(value), option, value > limit))
    return found


def _on(target: str) -> str:
    return f" on {target}" if target else ""
