"""The result of training a stock network: `baselines/<name>-<side>px/result.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import CheckpointError
from supernet.scores import Evaluation

SCHEMA = 1


@dataclass(frozen=True)
class StockResult:
    """A trained stock network, without its test score."""

    name: str
    side: int
    pretrained: str | None
    """Where its first weights came from; None for new ones."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    """How its images are normalised: (pixels / scale - mean) / std, per channel."""
    validation: Evaluation
    epochs: int
    params: int
    seconds: float
    """Training time; equal runs differ in it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> StockResult:
        """Read what `to_dict` wrote.

        Raises:
            CheckpointError: fields are missing or unknown, or another version wrote it.
        """
        values = dict(document)
        try:
            if values.pop("schema") != SCHEMA:
                raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}")
            values["validation"] = Evaluation(**values["validation"])
            values |= {name: tuple(values[name]) for name in ("mean", "std")}
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"A stock network's result cannot be read: {error}. It is damaged or of another "
                "version of nas. Delete the run's folder 'baselines' to train them again."
            ) from None
