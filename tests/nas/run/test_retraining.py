"""What a person says about retraining, and what the run has said before."""

from __future__ import annotations

import pytest

from nas.errors import SettingsError
from nas.run.context import Context
from nas.run.retraining import Retraining, as_the_run, recipe_of
from nas.settings import Settings


def test_a_network_is_retrained_as_the_run_does_unless_a_person_says_how() -> None:
    run = Settings(from_scratch=True, retrain_epochs=5)
    found = as_the_run(Retraining(seed=3, recipe={"layer_decay": 0.8}), run)
    assert (found.from_scratch, found.epochs, found.seed) == (True, 5, 3)
    assert found.recipe == {"layer_decay": 0.8}
    for how in (Retraining(epochs=2), Retraining(fine_tune=2), Retraining(recipe={"epochs": 2})):
        assert as_the_run(how, run) == how


@pytest.mark.parametrize("how", [Retraining(epochs=3), Retraining(fine_tune=3)])
def test_epochs_that_are_given_twice_are_refused(how: Retraining) -> None:
    twice = Retraining(epochs=how.epochs, fine_tune=how.fine_tune, recipe={"epochs": 5})
    context = Context(Settings(data="digits"))
    assert recipe_of(context, how).epochs == 3
    with pytest.raises(SettingsError, match="number of epochs is given twice"):
        recipe_of(context, twice)
