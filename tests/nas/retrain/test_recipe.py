from __future__ import annotations

from nas.data.augment import Augmentation
from nas.retrain import default_recipe, retrain_augmentation


def test_the_default_recipe_is_faster_from_scratch_and_counts_steps_on_small_data() -> None:
    shared, scratch = default_recipe(False, 1298), default_recipe(True, 1298)
    assert (shared.epochs, scratch.epochs) == (60, 60)
    assert shared.learning_rate < scratch.learning_rate
    assert default_recipe(False, 10**6).epochs == 10
    assert default_recipe(True, 5).epochs == 100


def test_retraining_mixes_and_smooths_unless_the_augmentation_does_already() -> None:
    shifted = retrain_augmentation(Augmentation(shift=0.125))
    assert shifted == Augmentation(shift=0.125, mixup=0.2, label_smoothing=0.1)
    chosen = Augmentation(mixup=0.8, label_smoothing=0.2, cutmix=1.0)
    assert retrain_augmentation(chosen) == chosen
