"""How networks of a front are retrained: what a person can choose, and the recipe it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from nas.cluster.trials import Manner, Tuning
from nas.errors import SettingsError, did_you_mean
from nas.retrain import default_recipe
from nas.settings import RecipeValue, explain
from supernet.training.recipe import Recipe

TUNABLE = ("learning_rate", "layer_decay", "drop_path", "weight_decay", "ema_decay", "clip_norm")
"""Values of the recipe that can be searched."""


@dataclass(frozen=True)
class Retraining:
    """How networks are retrained."""

    seed: int | None = None
    """Decides new weights, the order of the images and their augmentation; None for the run's."""
    epochs: int | None = None
    """None for the recipe's."""
    from_scratch: bool = False
    """From new weights instead of the supernet's."""
    recipe: Mapping[str, RecipeValue] = field(default_factory=dict)
    """Changes to the usual recipe."""
    teacher: str | None = None
    """As `nas.run.teacher` reads it; None to learn from the labels alone."""
    manner: Manner = Manner()
    """On a cluster: workers of each network, and limits."""
    tuning: Tuning | None = None
    """On a cluster: values of the recipe to try for each network."""


def recipe_of(images: int, how: Retraining) -> Recipe:
    """The recipe for a number of training images.

    Raises:
        SettingsError: a value is unknown or wrong, or a range leaves what is allowed.
    """
    recipe = default_recipe(how.from_scratch, images)
    changes = dict(how.recipe) | ({} if how.epochs is None else {"epochs": how.epochs})
    for name in changes:
        if name not in Recipe.model_fields:
            known = sorted(Recipe.model_fields)
            raise SettingsError(
                f"The recipe of retraining has no '{name}'.{did_you_mean(name, known)} It has: "
                f"{', '.join(known)}."
            )
    ranges = how.tuning.ranges if how.tuning else {}
    for name in ranges:
        if name not in TUNABLE:
            raise SettingsError(
                f"'{name}' cannot be tuned.{did_you_mean(name, TUNABLE)} What can: "
                f"{', '.join(TUNABLE)}."
            )
    if images < recipe.batch_size and "batch_size" not in changes:
        changes["batch_size"] = max(2, images)
    recipe = _checked(recipe, changes)
    for end in (0, 1):
        _checked(recipe, {name: ends[end] for name, ends in ranges.items()})
    return recipe


def _checked(recipe: Recipe, changes: Mapping[str, RecipeValue]) -> Recipe:
    try:
        return Recipe.model_validate({**recipe.model_dump(), **changes})
    except ValidationError as error:
        raise SettingsError(explain(error, Recipe.model_fields, "recipe")) from None
