"""How networks of a front are retrained: what a person can choose, and the recipe it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from nas.cluster.trials import Manner, Tuning
from nas.errors import SettingsError, did_you_mean
from nas.retrain import default_recipe, fine_tune_recipe
from nas.run.context import Context
from nas.settings import RecipeValue, Settings, explain
from supernet.training.recipe import Recipe

FINE_TUNE_EPOCHS = 4
"""Of a network whose weights go back to a donor's, if nobody says how many."""
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
    fine_tune: int | None = None
    """Epochs of a short training from the supernet's weights, in place of the long one."""
    recipe: Mapping[str, RecipeValue] = field(default_factory=dict)
    """Changes to the usual recipe."""
    teacher: str | None = None
    """As `nas.run.retraining_teacher` reads it; None to learn from the labels alone."""
    manner: Manner = Manner()
    """On a cluster: workers of each network, and limits."""
    tuning: Tuning | None = None
    """On a cluster: values of the recipe to try for each network."""


def asked_by(settings: Settings) -> Retraining:
    """How a run's settings ask to retrain."""
    return Retraining(
        epochs=settings.retrain_epochs,
        from_scratch=settings.from_scratch,
        fine_tune=settings.fine_tune,
    )


def as_the_run(how: Retraining, settings: Settings) -> Retraining:
    """How a run's networks are retrained, where a person does not say how."""
    if how.from_scratch or (how.epochs, how.fine_tune) != (None, None) or "epochs" in how.recipe:
        return how
    run = asked_by(settings)
    return replace(how, epochs=run.epochs, from_scratch=run.from_scratch, fine_tune=run.fine_tune)


def recipe_of(context: Context, how: Retraining) -> Recipe:
    """The recipe for the training images of a run.

    Raises:
        SettingsError: a value is unknown or wrong, or a range leaves what is allowed.
    """
    images = len(context.data.train)
    recipe = _usual(how, images, context.donor is not None)
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


def _usual(how: Retraining, images: int, has_donor: bool) -> Recipe:
    """The recipe without changes.

    A long training would replace weights that go back to a donor's, so they are trained shortly.
    """
    if "epochs" in how.recipe and (how.epochs, how.fine_tune) != (None, None):
        raise SettingsError(
            "The number of epochs is given twice: leave out epochs of --recipe, or the option."
        )
    if how.fine_tune is not None:
        if how.from_scratch or how.epochs is not None:
            raise SettingsError(
                "--fine-tune trains shortly from the supernet's weights: leave out --from-scratch "
                "and --epochs, or --fine-tune."
            )
        return fine_tune_recipe(how.fine_tune)
    if has_donor and not how.from_scratch:
        return fine_tune_recipe(FINE_TUNE_EPOCHS)
    return default_recipe(how.from_scratch, images)


def _checked(recipe: Recipe, changes: Mapping[str, RecipeValue]) -> Recipe:
    try:
        return Recipe.model_validate({**recipe.model_dump(), **changes})
    except ValidationError as error:
        raise SettingsError(explain(error, Recipe.model_fields, "recipe")) from None
