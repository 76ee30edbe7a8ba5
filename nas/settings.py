"""What a run was asked to do: every choice, resolved, in one frozen object.

The command line and `nas.pipeline.run` both make one, `settings.json` in the run folder holds it,
and a run is only ever continued with equal settings. Every mistake is reported at once:

    Settings(spaec="hybrid-tiny", evaluations=0)
    SettingsError: 2 mistakes in the settings:
      evaluations: input should be greater than or equal to 1 (it is 0)
      spaec: there is no such field. Did you mean 'space'?
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nas.errors import SettingsError, did_you_mean

SCHEMA = 1
"""Version of `settings.json`; raised when a field changes its meaning."""

Whole = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
RecipeValue = bool | int | float | str
_NOT_FINITE = (float("inf"), float("-inf"))


class Settings(BaseModel):
    """Everything that decides a run's result. `None` means the device's or recipe's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # What is searched, on what.
    space: str = "hybrid-tiny"
    data: str = "digits"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    # The target: a latency means nothing without it.
    hardware: str = "cpu"
    runtime: str | None = None
    precision: str | None = None
    layout: str | None = None
    batch_size: Whole | None = None
    resolution: Whole | None = None
    threads: Whole | None = None

    # Budgets: all of them hold at once.
    budget_ms: Positive | None = None
    max_macs: Whole | None = None
    max_params: Whole | None = None
    max_memory_mib: Positive | None = None

    # A latency budget is checked against the upper end of an interval of this coverage.
    confidence: Annotated[float, Field(ge=0.5, le=0.98)] = 0.9

    # The search. `lag`: candidate i is asked after the results 0 ... i - lag have been told.
    searcher: str = "evolution"
    evaluations: Whole = 200
    lag: Whole = 16
    metric: Literal["accuracy", "balanced_accuracy"] = "accuracy"

    # Training: `epochs` and `recipe` are the supernet's.
    epochs: Whole | None = None
    recipe: dict[str, RecipeValue] = Field(default_factory=dict)
    retrain_top: Annotated[int, Field(ge=0)] = 1
    retrain_epochs: Whole | None = None
    from_scratch: bool = False

    if not TYPE_CHECKING:  # type checkers see the fields as arguments

        def __init__(self, **values: object) -> None:
            """Raises SettingsError: unknown or wrong fields, all of them together."""
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise SettingsError(explain(error, type(self).model_fields)) from None

    @field_validator("space", "data")
    @classmethod
    def _keep_absolute(cls, value: str) -> str:
        """A path is kept absolute, so that a run can be resumed from any folder."""
        kind, colon, path = value.rpartition(":")
        if not (colon or path.endswith((".yaml", ".yml"))):
            return value
        return f"{kind}{colon}{Path(path).expanduser().absolute()}"

    @field_validator("recipe", mode="before")
    @classmethod
    def _plain_values(cls, recipe: object) -> object:
        """One message for a value of the wrong kind, not one per kind it could have been."""
        if isinstance(recipe, Mapping):
            for key, value in recipe.items():
                if not isinstance(value, RecipeValue) or value in _NOT_FINITE or value != value:
                    raise ValueError(f"'{key}' is not a finite number, a word, true or false")
        return recipe

    def diff(self, other: Settings) -> list[str]:
        """What changes from these settings to the other ones, one `field: old -> new` each."""
        mine, others = self.model_dump(), other.model_dump()
        return [
            f"{name}: {_shown(mine[name])} -> {_shown(others[name])}"
            for name in mine
            if mine[name] != others[name]
        ]

    def to_json(self) -> str:
        """A JSON document with a schema version, the same for equal settings."""
        return json.dumps({"schema": SCHEMA, **self.model_dump()}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Settings as `to_json` wrote them.

        Raises:
            SettingsError: not JSON, of another schema version, or with wrong fields.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"The settings are not valid JSON: {error}.") from None
        if not isinstance(values, dict):
            raise SettingsError("The settings are not a JSON object with one field per setting.")
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise SettingsError(
                f"The settings have schema version {schema}; this version of nas reads {SCHEMA}. "
                "Start a new run, or use the version of nas that wrote them."
            )
        return cls(**values)


def explain(error: ValidationError, fields: Iterable[str], what: str = "settings") -> str:
    """One line per mistake of a pydantic model, with did-you-mean for unknown fields."""
    known = list(fields)
    lines = [_mistake(detail, known) for detail in error.errors()]
    if len(lines) == 1:
        return f"Wrong {what}: {lines[0]}"
    return "\n  ".join([f"{len(lines)} mistakes in the {what}:", *lines])


def _mistake(detail: Mapping[str, Any], known: list[str]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{name}: there is no such field.{did_you_mean(name, known)}"
    message = str(detail["msg"])
    return f"{name}: {message[:1].lower()}{message[1:]} (it is {_shown(detail['input'])})"


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value, default=str)
