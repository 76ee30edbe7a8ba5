"""The keys of `--recipe KEY=VALUE`, read from the settings.

learning_rate=0.002          a value of the recipe
micro_batch=16               another one: images that are run at once, to save memory
mixup=0.2                    a value of the images' augmentation
sampler=sandwich             how each step's children are chosen
sampler.random_children=3    an option of that sampler
supervision=in-place         what the children learn from
supervision.label_weight=1   an option of that supervision
own_children=true            whether each worker of a cluster trains children of its own
tensorboard=true             whether the training's curves are written for TensorBoard
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from nas.data.augment import Augmentation
from nas.errors import SettingsError, did_you_mean
from nas.settings import RecipeValue, explain
from search_spaces.registry import Registry
from supernet.method import Choice, Method, choose
from supernet.sampling import SAMPLERS, Sampler
from supernet.supervision import SUPERVISIONS, Supervision
from supernet.training.recipe import Recipe

OWN_CHILDREN, TENSORBOARD = "own_children", "tensorboard"
DEFAULT_SAMPLER, DEFAULT_SUPERVISION = "sandwich", "in-place"
USUAL_RECIPE: Mapping[str, RecipeValue] = {"batch_size": 32, "update_each_child": True}
"""Of a supernet that starts from new weights: each child trains other families, and many updates
by few images do more than few by many."""
DONOR_RECIPE: Mapping[str, RecipeValue] = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "weight_decay": 0.02,
    "drop_path": 0.0,
    "ema_decay": 0.98,
}
"""Of a supernet that starts from a donor; a higher rate would undo what the donor knows. As many
steps of half the images take half the time."""
DONOR_SUPERVISION: Mapping[str, RecipeValue] = {"feature_weight": 1.0}
"""Options of its supervision, if that has them: the donor's features are worth keeping."""

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingChoices:
    """How a supernet is trained, read from the settings."""

    recipe: Recipe
    """Its epochs are a placeholder if `epochs_given` is false: the data then decides them."""
    epochs_given: bool
    augmentation: Mapping[str, RecipeValue]
    """Changes to the data's usual augmentation."""
    sampler: Choice[Sampler]
    supervision: Choice[Supervision]
    own_children: bool
    """Whether each worker of a cluster trains children of its own, instead of all the same."""
    tensorboard: bool
    """Whether its curves are written for TensorBoard."""

    def change(self, base: Augmentation) -> Augmentation:
        """An augmentation with these changes."""
        return dataclasses.replace(base, **self.augmentation)  # type: ignore[arg-type]


def read_recipe(
    values: Mapping[str, RecipeValue], donor: bool = False, teacher: bool = False
) -> TrainingChoices:
    """The training choices in the settings' `recipe`.

    Args:
        values: The settings' `recipe`.
        donor: Whether the supernet starts from a donor, which needs a lower rate.
        teacher: Whether an external teacher is the usual supervision.

    Raises:
        SettingsError: a key is unknown or a value is wrong.
        UnknownNameError: there is no such sampler or supervision.
    """
    sampler, sampler_keys = _method(SAMPLERS, DEFAULT_SAMPLER, values)
    learnt = DEFAULT_SUPERVISION if SAMPLERS[sampler].teaches else "labels"
    usual = "teacher" if teacher else learnt
    supervision, supervision_keys = _method(SUPERVISIONS, usual, values)
    varied = [field.name for field in dataclasses.fields(Augmentation)]
    methods, switches = [*sampler_keys, *supervision_keys], [OWN_CHILDREN, TENSORBOARD]
    _check_names(values, [*Recipe.model_fields, *varied, *methods, *switches])
    own = {key: value for key, value in values.items() if key in Recipe.model_fields}
    usual_values = DONOR_RECIPE if donor else USUAL_RECIPE
    try:
        recipe = Recipe(**{**usual_values, **own})  # type: ignore[arg-type]  # pydantic checks the types
    except ValidationError as error:
        raise SettingsError(explain(error, Recipe.model_fields, "recipe")) from None
    return TrainingChoices(
        recipe=recipe,
        epochs_given="epochs" in own,
        augmentation={key: value for key, value in values.items() if key in varied},
        sampler=_choose(SAMPLERS, sampler, values),
        supervision=_choose(SUPERVISIONS, supervision, values, DONOR_SUPERVISION if donor else {}),
        own_children=_switch(OWN_CHILDREN, values),
        tensorboard=_switch(TENSORBOARD, values),
    )


def _method(
    registry: Registry[Method[T]], default: str, values: Mapping[str, RecipeValue]
) -> tuple[str, list[str]]:
    """The method that is asked for, and the keys that it accepts."""
    name = str(values.get(registry.kind, default))
    options = dataclasses.fields(registry[name].options)
    return name, [registry.kind, *(f"{registry.kind}.{option.name}" for option in options)]


def _choose(
    registry: Registry[Method[T]],
    name: str,
    values: Mapping[str, RecipeValue],
    usual: Mapping[str, RecipeValue] = {},
) -> Choice[T]:
    """The method with the options of the values, and the usual ones that it has."""
    start = f"{registry.kind}."
    known = [option.name for option in dataclasses.fields(registry[name].options)]
    options = {k: v for k, v in usual.items() if k in known}
    options |= {k.removeprefix(start): v for k, v in values.items() if k.startswith(start)}
    try:
        return choose(registry, name, options)
    except ValidationError as error:
        raise SettingsError(explain(error, options, f"options of {start}{name}")) from None


def _switch(name: str, values: Mapping[str, RecipeValue]) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise SettingsError(f"'{name}' of the recipe is {value}; write {name}=true or false.")
    return value


def _check_names(values: Mapping[str, RecipeValue], known: list[str]) -> None:
    wrong = [name for name in values if name not in known]
    if wrong:
        lines = [f"'{name}'.{did_you_mean(name, known)}" for name in wrong]
        raise SettingsError(
            f"The recipe has no {', '.join(lines)} It has: {', '.join(sorted(known))}."
        )
