"""What a run was asked to do: every choice, resolved, in one frozen object.

The command line and `nas.pipeline.run` both make one, `settings.json` in the run folder holds it,
and a run is only ever continued with equal settings. Every mistake is reported at once:

    Settings(spaec="hybrid-tiny", evaluations=0)
    SettingsError: 2 mistakes in the settings:
      evaluations: input should be greater than or equal to 1 (it is 0)
      spaec: there is no such field. Did you mean 'space'?

A run has one or several targets, each with its budgets. If there is one, its fields may be given
directly. These two are equal:

    Settings(hardware="a100", batch_size=32, budget_ms=5.0)
    Settings(targets=[TargetChoice(hardware="a100", batch_size=32, budgets_ms=[5.0])])
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nas.errors import SettingsError, did_you_mean
from nas.reading import ReadOptions

SCHEMA = 2
"""Version of `settings.json`; it goes up when a field changes its meaning."""

FEWEST_VERIFIED = 5
"""The smallest number of networks trained alone that a correction is made from."""

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
"""Endings of files of weights."""

Whole = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
RecipeValue = bool | int | float | str
_NOT_FINITE = (float("inf"), float("-inf"))


class TargetChoice(BaseModel):
    """A target as it was asked for, and its budgets. `None` means the device's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hardware: str = "cpu"
    runtime: str | None = None
    precision: str | None = None
    layout: str | None = None
    batch_size: Whole | None = None
    threads: Whole | None = None
    budgets_ms: tuple[Positive, ...] = ()

    @field_validator("budgets_ms")
    @classmethod
    def _ascending(cls, budgets: tuple[float, ...]) -> tuple[float, ...]:
        ordered = sorted(set(budgets))
        if list(budgets) != ordered:
            written = ", ".join(f"{budget:g}" for budget in ordered)
            raise ValueError(f"budgets go from the tightest to the loosest, each once: {written}")
        return budgets

    def __str__(self) -> str:
        chosen = {name: value for name, value in self if name != "hardware" and value}
        words = (f"{name} {_shown(value)}" for name, value in chosen.items())
        return ", ".join((self.hardware, *words))


class Settings(BaseModel):
    """Everything that decides a run's result. `None` means the device's or recipe's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # What is searched, on what.
    # Without a space, the size of the images decides (`nas/run/choosing.py`).
    space: str | None = None
    data: str = "digits"
    reading: ReadOptions = ReadOptions()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    # Where it has to run, and how fast. `resolution` restricts the space, for all targets.
    targets: tuple[TargetChoice, ...] = (TargetChoice(),)
    resolution: Whole | None = None
    # At which resolutions the supernet is trained, ascending. Without them: all of the space, or
    # for photographs what their size and the budgets leave (`nas/run/resolutions.py`).
    resolutions: tuple[Whole, ...] | None = None

    # Other budgets: all of them hold at once.
    max_macs: Whole | None = None
    max_params: Whole | None = None
    max_memory_mib: Positive | None = None

    # Share of networks within their predicted interval. Its upper end has to keep a budget.
    confidence: Annotated[float, Field(ge=0.5, le=0.98)] = 0.9

    # The search. `lag`: candidate i is asked after the results 0 ... i - lag have been told.
    searcher: str = "auto"
    # Without a number: 200, or 100 if the supernet starts from a donor.
    evaluations: Whole | None = None
    lag: Whole = 16
    # Without a metric: the loss if the supernet starts from a donor, else the accuracy.
    metric: Literal["accuracy", "balanced_accuracy", "loss"] | None = None

    # What the supernet starts from: a published network with its weights, a file of them, or
    # "none". Without it: the space's own donor, if a package that carries it is installed.
    pretrained: str | None = None
    # Who else teaches it: a network of another family, also on images without labels.
    teacher: str | None = None
    unlabelled: str | None = None

    # Training: `epochs` and `recipe` are the supernet's.
    epochs: Whole | None = None
    recipe: dict[str, RecipeValue] = Field(default_factory=dict)
    retrain_top: Annotated[int, Field(ge=0)] = 1
    retrain_epochs: Whole | None = None
    # Networks to train alone after the search, to correct what the supernet says; 0 for none.
    verify: Annotated[int, Field(ge=0)] = 0
    verify_epochs: Whole | None = None
    from_scratch: bool = False
    fine_tune: Whole | None = None
    """Epochs of a short training from the shared weights, in place of the long one."""

    # Stock networks to compare with: `auto`, `none`, or models of timm.
    baselines: tuple[str, ...] = ("auto",)
    baseline_epochs: Whole | None = None

    def __init__(self, **values: Any) -> None:
        """Raises SettingsError: unknown or wrong fields, all of them together."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            message = explain(error, _KNOWN)
            targets = values.get("targets")
            if not isinstance(targets, list | tuple) or len(targets) == 1:  # it is in the only one
                message = message.replace("targets.0.", "")
            raise SettingsError(message) from None

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, values: Any) -> Any:
        """The fields of the only target, if they were given directly, as `targets`."""
        flat = {name: values[name] for name in _FLAT if name in values}
        if not flat:
            return values
        others = {name: value for name, value in values.items() if name not in flat}
        if "targets" in others:
            raise ValueError(f"give `targets` or {', '.join(flat)}, not both")
        budget = flat.pop("budget_ms", None)
        if budget is not None:
            if flat.get("budgets_ms"):
                raise ValueError("give `budget_ms` or `budgets_ms`, not both")
            flat["budgets_ms"] = (budget,)
        return {**others, "targets": (flat,)}

    @model_validator(mode="after")
    def _zip(self) -> Settings:
        if self.unlabelled and not self.teacher:
            raise ValueError(
                "unlabelled images need a teacher that says what is on them: give --teacher, such "
                "as --teacher tf_efficientnet_lite0"
            )
        if not self.targets:
            raise ValueError("there is no target; leave `targets` out for the processor at hand")
        counts = {len(target.budgets_ms) for target in self.targets} - {0, 1}
        if len(counts) > 1:
            told = ", ".join(f"{len(t.budgets_ms)} for {t.hardware}" for t in self.targets)
            raise ValueError(
                "budgets are paired in their order (the first of each target, the second, ...), "
                "so each target needs equally many, or just one. There are: " + told
            )
        return self

    @property
    def budget_sets(self) -> tuple[tuple[float | None, ...], ...]:
        """The latency limits that hold at the same time, in ms: (sets, targets).

        The budgets of the targets are paired in their order. A target with one budget has it in
        every set; a target without has no limit.
        """
        most = max(1, *(len(target.budgets_ms) for target in self.targets))
        columns = [
            target.budgets_ms * most
            if len(target.budgets_ms) == 1
            else target.budgets_ms or (None,) * most
            for target in self.targets
        ]
        return tuple(zip(*columns, strict=True))

    def with_threads(self, threads: Sequence[int | None]) -> Settings:
        """The settings with a number of threads for each target that has none."""
        targets = tuple(
            target if target.threads is not None else target.model_copy(update={"threads": count})
            for target, count in zip(self.targets, threads, strict=True)
        )
        return self.model_copy(update={"targets": targets})

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Settings:
        if self.epochs is not None and self.recipe.get("epochs", self.epochs) != self.epochs:
            raise ValueError("epochs contradicts epochs in the recipe: give one of them")
        if self.fine_tune is not None and (self.from_scratch or self.retrain_epochs is not None):
            raise ValueError(
                "fine_tune trains shortly from the shared weights: leave out from_scratch and "
                "retrain_epochs, or fine_tune"
            )
        return self

    @field_validator("verify")
    @classmethod
    def _enough(cls, count: int) -> int:
        if 0 < count < FEWEST_VERIFIED:
            raise ValueError(
                f"a correction takes at least {FEWEST_VERIFIED} networks; 0 is for none"
            )
        return count

    @property
    def named_baselines(self) -> tuple[str, ...]:
        """The stock networks that were asked for by name."""
        return () if self.baselines in (("auto",), ("none",)) else self.baselines

    @field_validator("baselines")
    @classmethod
    def _either_a_word_or_names(cls, baselines: tuple[str, ...]) -> tuple[str, ...]:
        if not baselines or (len(baselines) > 1 and {"auto", "none"} & set(baselines)):
            raise ValueError("give auto, none, or names of timm's models")
        return tuple(dict.fromkeys(baselines))

    @field_validator("resolutions")
    @classmethod
    def _each_once(cls, resolutions: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if resolutions is None:
            return None
        if not resolutions:
            raise ValueError("name one resolution at least, or leave them out")
        return tuple(sorted(set(resolutions)))

    @field_validator("space")
    @classmethod
    def _absolute_space(cls, value: str | None) -> str | None:
        """Make paths absolute, so that a run can be resumed from any folder."""
        return _absolute(value) if value and value.endswith((".yaml", ".yml")) else value

    @field_validator("pretrained", "teacher")
    @classmethod
    def _absolute_weights(cls, value: str | None) -> str | None:
        """The same for files of weights."""
        is_file = value and value.endswith(WEIGHT_FILES) and not value.startswith("timm:")
        return _absolute(value) if value and is_file else value

    @field_validator("data", "unlabelled")
    @classmethod
    def _absolute_data(cls, value: str | None) -> str | None:
        """The same; the first colon ends the kind, and a path may have more of them."""
        kind, colon, path = (value or "").partition(":")
        return f"{kind}:{_absolute(path)}" if colon and path else value

    @field_validator("recipe", mode="before")
    @classmethod
    def _plain_values(cls, recipe: object) -> object:
        """One message for a value of the wrong type, instead of one per possible type."""
        if isinstance(recipe, Mapping):
            for key, value in recipe.items():
                if not isinstance(value, RecipeValue) or value in _NOT_FINITE or value != value:
                    raise ValueError(f"'{key}' is not a finite number, a word, true or false")
        return recipe

    def diff(self, other: Settings) -> list[str]:
        """What changes from these settings to the other ones, one `field: old -> new` each."""
        alike = len(self.targets) == len(other.targets)
        mine, others = self._fields(alike), other._fields(alike)
        return [
            f"{name}: {_shown(mine[name])} -> {_shown(others[name])}"
            for name in mine
            if mine[name] != others[name]
        ]

    def _fields(self, each: bool) -> dict[str, object]:
        """Every field; those of each target, or else the targets in one line."""
        fields = self.model_dump(exclude={"targets", "reading"})
        fields |= vars(self.reading)
        if not each:
            return {**fields, "targets": "; ".join(map(str, self.targets))}
        for number, target in enumerate(self.targets, start=1):
            prefix = "" if len(self.targets) == 1 else f"target {number}, "
            fields |= {f"{prefix}{name}": value for name, value in target}
        return fields

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


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


_FLAT = (*TargetChoice.model_fields, "budget_ms")
_KNOWN = (*Settings.model_fields, *_FLAT)


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
        return f"{name}: there is no such field.{did_you_mean(str(detail['loc'][-1]), known)}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not name:  # of several fields together
        return message
    return f"{name}: {message[:1].lower()}{message[1:]} (it is {_shown(detail['input'])})"


def _shown(value: object) -> str:
    return "not set" if value in (None, (), {}) else json.dumps(value, default=str)
