"""The content of a run's `rank.json`: networks trained alone, and how well scores rank them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.ranking.agreement import Agreement
from nas.storage import atomic_write_json, read_document

SCHEMA = 1
FILE = "rank.json"


@dataclass(frozen=True)
class Ranked:
    """A network that was trained alone, beside what was known of it before."""

    id: str
    alone: float
    """Its score on the validation split when trained alone."""
    shared: float
    """The same with the supernet's weights."""
    loss: float
    """Its validation loss with the supernet's weights."""
    params: int
    macs: int
    latency_ms: tuple[float, ...]
    """Predicted, on each target."""


@dataclass(frozen=True)
class Ranking:
    """What the supernet's word is worth."""

    recipe: str
    """How the networks were trained alone, in a sentence."""
    metric: str
    """Which score is compared: accuracy or balanced accuracy."""
    networks: tuple[Ranked, ...]
    agreements: tuple[Agreement, ...]
    """Of each score with the networks' own, the supernet's first."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "recipe": self.recipe,
            "metric": self.metric,
            "agreements": [each.to_dict() for each in self.agreements],
            "networks": [dataclasses.asdict(network) for network in self.networks],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Ranking:
        """A ranking as `to_dict` wrote it."""
        networks = [
            Ranked(**{**network, "latency_ms": tuple(network["latency_ms"])})
            for network in document["networks"]
        ]
        agreements = tuple(map(Agreement.from_dict, document["agreements"]))
        return cls(document["recipe"], document["metric"], tuple(networks), agreements)


def write_ranking(run: Path, ranking: Ranking) -> None:
    """Write `rank.json`, completely or not at all."""
    atomic_write_json(run / FILE, ranking.to_dict())


def read_ranking(run: Path) -> Ranking | None:
    """The ranking of a run; None before there is one.

    Raises:
        RunError: another version of nas wrote it.
    """
    path = run / FILE
    if not path.exists():
        return None
    document = read_document(path, SCHEMA, f"Delete it and run `nas rank {run}` again.")
    return Ranking.from_dict(document)
