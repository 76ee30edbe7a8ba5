"""How networks are retrained by default.

Found on the digits with random architectures of `hybrid-tiny` from scratch, 60 epochs, mean test
accuracy over 3 architectures and 1-2 seeds: 98.6 % with shifts alone, 99.3 % with mixup and label
smoothing as well.
"""

from __future__ import annotations

import dataclasses

from nas.data.augment import Augmentation
from supernet.recipe import Recipe

SCRATCH_STEPS, SHARED_STEPS = 1200, 600
"""Steps for small data by default; on the digits 60 and 30 epochs."""
FEWEST_EPOCHS, MOST_EPOCHS = 10, 100


def default_recipe(from_scratch: bool, images: int) -> Recipe:
    """What trains small networks well, from shared weights or from none.

    Small data is seen for a number of steps, large data for a number of epochs.

    Args:
        from_scratch: Whether training begins with fresh weights.
        images: Training images.
    """
    rate, steps = (8e-3, SCRATCH_STEPS) if from_scratch else (4e-3, SHARED_STEPS)
    recipe = Recipe(learning_rate=rate, ema_decay=0.99)
    epochs = round(steps / max(1, images // recipe.batch_size))
    return recipe.model_copy(update={"epochs": min(MOST_EPOCHS, max(FEWEST_EPOCHS, epochs))})


def retrain_augmentation(base: Augmentation) -> Augmentation:
    """The augmentation of the data, with mixup and label smoothing where it has none.

    A network that is trained alone and to the end overfits more than children of a supernet do.
    """
    return dataclasses.replace(
        base, mixup=base.mixup or 0.2, label_smoothing=base.label_smoothing or 0.1
    )
