"""The result of retraining a network: `networks/<id>/result.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nas.errors import CheckpointError
from nas.settings import explain
from supernet.scores import Evaluation
from supernet.training.loop import Curve
from supernet.training.recipe import Recipe

SCHEMA = 1


@dataclass(frozen=True)
class NetworkResult:
    """A retrained network's scores and how it was trained."""

    id: str
    validation: Evaluation
    test: Evaluation
    from_scratch: bool
    seed: int
    recipe: Recipe
    curve: Curve
    seconds: float
    """Training time; equal runs differ in it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "schema": SCHEMA,
            **dataclasses.asdict(self),
            "recipe": self.recipe.model_dump(),
        }

    def to_json(self) -> str:
        """The content of `result.json`."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> NetworkResult:
        """Read what `to_dict` wrote.

        Raises:
            CheckpointError: fields are missing or unknown, or another version wrote it.
        """
        values = dict(document)
        try:
            if values.pop("schema") != SCHEMA:
                raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}")
            values["validation"] = Evaluation(**values["validation"])
            values["test"] = Evaluation(**values["test"])
            values["recipe"] = Recipe(**values["recipe"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            said = str(error)
            if isinstance(error, ValidationError):
                said = explain(error, Recipe.model_fields, "recipe")
            raise CheckpointError(
                f"A retrained network's result cannot be read: {said}. It is damaged or of "
                "another version of nas; retrain the network to write it anew."
            ) from None
