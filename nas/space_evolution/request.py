"""What an evolution is asked for, and who judges its architectures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import SettingsError
from nas.latency import Target
from nas.search.protocol import Codes
from nas.settings import Settings
from nas.space_evolution.costs import Limits
from search_spaces import SearchSpace
from supernet.scores import Evaluation


@dataclass(frozen=True)
class Request:
    """What was asked."""

    settings: Settings
    """Space, data, seed, epochs, recipe and metric; the other settings are not used."""
    target: Target | None = None
    """Architectures of equal latency on it are compared; None: of equal multiply-adds."""
    limits: Limits = field(default_factory=Limits)
    evaluations: int = 200
    confidence: float = 0.9

    def __post_init__(self) -> None:
        """Refuse a limit on a latency without a target, and a metric that is not a share.

        Raises:
            SettingsError: there is such a limit and no target, or the metric is the loss.
        """
        if self.settings.metric == "loss":
            raise SettingsError(
                "An evolution compares errors of classification: choose --metric accuracy or "
                "balanced_accuracy."
            )
        if self.limits.latency_ms is not None and self.target is None:
            raise SettingsError("A budget in time needs a device: give a target, such as cpu.")

    @property
    def space_name(self) -> str:
        """The space to move.

        Raises:
            SettingsError: the settings name none.
        """
        if self.settings.space is None:
            raise SettingsError("An evolution moves a space: name it, such as hybrid-tiny.")
        return self.settings.space

    @property
    def cost(self) -> str:
        """What the compared architectures have equal amounts of."""
        return "multiply-adds" if self.target is None else f"latency on {self.target}"

    def to_dict(self, space: SearchSpace) -> dict[str, Any]:
        """All that decides the result; the space by its content."""
        s = self.settings
        return {
            "space": f"{space.name} ({space.fingerprint})",
            "data": s.data,
            **vars(s.reading),
            "seed": s.seed,
            "epochs": s.epochs,
            "recipe": dict(s.recipe),
            "metric": s.metric,
            "target": None if self.target is None else self.target.to_dict(),
            **dataclasses.asdict(self.limits),
            "evaluations": self.evaluations,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Judge:
    """A generation's supernet."""

    key: str
    """Its name."""
    evaluate: Callable[[Codes], Evaluation]
    """A code to its scores on the validation split."""


JudgeOf = Callable[[Path], Judge]
"""The supernet of the space in a file, trained if need be."""
