"""The reasons of every change of a space: as JSON, as a page and as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nas.space_evolution.rule import SURE, Decision

ABOUT = """\
Architectures are compared at equal {cost}: an error here is a validation error on the
supernet's shared weights, divided by the usual error at that cost (the best fit that never
rises), times the mean error.

E: mean error of the architectures that hold a value. T: mean error of the best tenth of them.
E-T: the mean of both. n: architectures. A dimension moves where its trend, or the worst family's
excess, is beyond {sure:g} standard errors of a bootstrap over the architectures. A value that
comes was not evaluated before it came.
"""


def decision_document(decision: Decision) -> dict[str, Any]:
    """One dimension as JSON."""
    dimension, quality = decision.dimension, decision.quality
    after = decision.values
    if not dimension.ordered and dimension.offered is None:
        after = tuple(dimension.labels[place] for place in decision.values)
    return {
        "dimension": dimension.name,
        "values": [
            {
                "value": label,
                "architectures": int(held),
                "expected_error": _known(expected),
                "top_tier_error": _known(top),
                "et_error": _known(error),
            }
            for label, held, expected, top, error in zip(
                dimension.labels,
                quality.held,
                quality.expected,
                quality.top_tier,
                quality.error,
                strict=True,
            )
        ],
        "trend" if dimension.ordered else "worst_excess": _known(decision.trend),
        "standard_error": _known(decision.standard_error),
        "decision": decision.action,
        "after": list(after),
        "reason": decision.sentence,
    }


def gone(generations: Sequence[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """Values that went in these generations, by dimension."""
    found: dict[str, frozenset[str]] = {}
    for entry in (entry for g in generations for entry in g["dimensions"]):
        before = {str(value["value"]) for value in entry["values"]}
        after = {str(value) for value in entry["after"]}
        name = entry["dimension"]
        found[name] = found.get(name, frozenset()) | (before - after)
    return found


def page(name: str, cost: str, generations: Sequence[dict[str, Any]]) -> str:
    """All generations as Markdown."""
    parts = [f"# How the space '{name}' evolved\n", ABOUT.format(cost=cost, sure=SURE)]
    for number, generation in enumerate(generations):
        parts += [_chapter(number, generation)]
    return "\n".join(parts)


def sentences(generation: dict[str, Any]) -> list[str]:
    """What moved, one line each."""
    return [
        f"{entry['dimension']}: {entry['reason']}"
        for entry in generation["dimensions"]
        if entry["decision"] in ("shifted", "narrowed", "dropped")
    ]


def _chapter(number: int, generation: dict[str, Any]) -> str:
    moved = sentences(generation) or ["Nothing moved."]
    lines = [
        f"## space-{number}.yaml to space-{number + 1}.yaml\n",
        f"{generation['architectures']} architectures of {generation['size']:.3g}: expected error "
        f"{generation['expected_error']:.2%}, top-tier error {generation['top_tier_error']:.2%}, "
        f"supernet {generation['supernet']}.\n",
        *[f"- {line}" for line in moved],
        "",
        "| dimension | value | n | E % | T % | E-T % | decision |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in generation["dimensions"]:
        name, decided = entry["dimension"], entry["reason"]
        for value in entry["values"]:
            errors = [
                "" if value[key] is None else f"{100 * value[key]:.2f}"
                for key in ("expected_error", "top_tier_error", "et_error")
            ]
            cells = [name, str(value["value"]), str(value["architectures"]), *errors, decided]
            lines.append(f"| {' | '.join(cells)} |")
            name = decided = ""
    return "\n".join([*lines, ""])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
