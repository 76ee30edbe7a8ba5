"""What the settings' recipe can name, and what is told of mistakes in it."""

from __future__ import annotations

import pytest

from nas.data.augment import Augmentation
from nas.errors import SettingsError, UnknownNameError
from nas.run.context import Context
from nas.run.recipe import read_recipe
from nas.settings import RecipeValue, Settings
from supernet.training.recipe import Recipe

USUAL = {"batch_size": 32, "update_each_child": True}


def test_an_empty_recipe_is_the_usual_one() -> None:
    read = read_recipe({})
    assert read.recipe == Recipe(**USUAL) and not read.epochs_given
    assert read.change(Augmentation(shift=0.1)) == Augmentation(shift=0.1)
    assert str(read.sampler) == "sandwich, random_children=2, alike=0.5, alone=0.0, descent=0.0"
    usual = "in-place, label_weight=0.5, teacher_every=1, feature_weight=0.0"
    assert str(read.supervision) == usual


def test_children_of_a_donor_keep_to_its_features_where_a_supervision_can() -> None:
    def weight(values: dict[str, RecipeValue]) -> float:
        options = read_recipe(values, donor=True).supervision.options
        return getattr(options, "feature_weight", 0.0)

    assert weight({}) == weight({"supervision": "alpha-divergence"}) == 1.0
    assert weight({"supervision": "labels"}) == weight({"supervision.feature_weight": 0}) == 0.0


def test_each_value_goes_where_it_belongs() -> None:
    read = read_recipe(
        {
            "epochs": 7,
            "mixup": 0.3,
            "sampler": "uniform",
            "sampler.children": 4,
            "supervision": "labels",
        }
    )
    assert (read.recipe, read.epochs_given) == (Recipe(epochs=7, **USUAL), True)
    assert read.change(Augmentation(shift=0.1)) == Augmentation(shift=0.1, mixup=0.3)
    assert (str(read.sampler), str(read.supervision)) == ("uniform, children=4", "labels")
    assert str(read_recipe({"sampler": "fair"}).supervision) == "labels"  # none of them can teach
    assert read_recipe({"sampler": "shrinking"}).supervision.method.name == "in-place"
    assert read_recipe({"supervision.label_weight": 0}).supervision.options.label_weight == 0.0


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"epoch": 3}, r"The recipe has no 'epoch'. Did you mean 'epochs'\?"),
        ({"random_children": 3}, "Did you mean 'sampler.random_children'"),
        ({"sampler": "uniform", "sampler.random_children": 3}, "It has: .*sampler.children"),
        ({"sampler.random_children": -1}, "options of sampler.sandwich: random_children: input"),
        ({"supervision.label_weight": 2}, "label_weight: input should be less .* [(]it is 2[)]"),
        ({"learning_rate": -1}, "Wrong recipe: learning_rate"),
    ],
)
def test_mistakes_are_told(recipe: dict[str, RecipeValue], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_recipe(recipe)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"sampler": "sandwitch"}, "Unknown sampler 'sandwitch'. Did you mean 'sandwich'"),
        ({"supervision": "label"}, "Unknown supervision 'label'. Did you mean 'labels'"),
    ],
)
def test_unknown_methods_are_told(recipe: dict[str, RecipeValue], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        read_recipe(recipe)


def test_supernets_of_other_samplers_and_supervision_have_other_keys() -> None:
    recipes: list[dict[str, RecipeValue]] = [
        {},
        {"sampler": "uniform"},
        {"sampler.random_children": 3},
        {"supervision": "labels"},
        {"supervision.label_weight": 0.25},
    ]
    keys = [Context(Settings(recipe=recipe)).supernet_key() for recipe in recipes]
    assert len(set(keys)) == len(keys)
    assert keys[0] == Context(Settings(recipe={"sampler": "sandwich"})).supernet_key()
