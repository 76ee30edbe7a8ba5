"""What a run's settings name: the space, the images, the targets, the recipe.

Each is made when it is first needed and then kept. Nothing here reads the test split.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from nas.data import Dataset, SearchData, load_data
from nas.data.augment import Augmentation, default_augmentation
from nas.data.batches import EvalBatches, TrainBatches
from nas.errors import SettingsError, did_you_mean
from nas.latency import Target
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.retrain import retrain_augmentation
from nas.search.gradients.lessons import Lessons
from nas.search.objectives import Budgets
from nas.search.searchers.registry import entry_of
from nas.settings import Settings, TargetChoice, explain
from search_spaces import Architecture, SearchSpace, load_space
from supernet.evaluation import evaluate_child
from supernet.scores import Evaluation
from supernet.supernet import Supernet
from supernet.training.recipe import Recipe

EVALUATION_BATCH = 256
CALIBRATION_BATCHES = 4
SUPERNET_STEPS = 900
"""Training steps for small data by default: enough for `hybrid-tiny` on the digits."""
FEWEST_EPOCHS, MOST_EPOCHS = 5, 60


class Context:
    """The things that settings name.

    Args:
        settings: A run's choices.

    Raises:
        NasError: a name, a path or a value is wrong; raised when the thing is first needed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def check(self) -> None:
        """Load what the settings name, so that mistakes are found before anything is written.

        Raises:
            NasError: a name, a path or a value is wrong.
        """
        self.check_names()
        _ = self.data, self.recipe, self.augmentation

    def check_names(self) -> None:
        """The same, without reading the data."""
        entry_of(self.settings.searcher)
        _ = self.space, self.budgets
        for target in self.targets:
            if check(target.device).kind == "gpu":
                GpuModel(target).half_width(self.settings.confidence)
        self._check_recipe_names()

    @cached_property
    def whole_space(self) -> SearchSpace:
        """The space as its file defines it; the supernet holds all of it."""
        return load_space(self.settings.space)

    @cached_property
    def space(self) -> SearchSpace:
        """The space that is searched: at one resolution if the settings name one."""
        resolution = self.settings.resolution
        return self.whole_space if resolution is None else self.whole_space.restrict(resolution)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets with all their conditions: runtime, precision, layout, batch, ...

        Raises:
            SettingsError: two of them are the same.
        """
        targets = tuple(self._target(choice) for choice in self.settings.targets)
        for number, target in enumerate(targets):
            if target in targets[:number]:
                raise SettingsError(
                    f"The target {target} is given twice. Name another one, or leave it out; "
                    "several budgets of one target go in one list: --budget 2ms,5ms."
                )
        return targets

    @property
    def target(self) -> Target:
        """The first target; only searches have more than one."""
        return self.targets[0]

    @cached_property
    def target_names(self) -> tuple[str, ...]:
        """The targets in short, such as `a100`, or `a100 (batch 32)` if several share a device."""
        return short_names(self.targets)

    @cached_property
    def budgets(self) -> Budgets:
        """All limits of the run."""
        s = self.settings
        return Budgets(
            s.budget_sets,
            max_macs=s.max_macs,
            max_params=s.max_params,
            max_memory_mib=s.max_memory_mib,
        )

    @cached_property
    def dataset(self) -> Dataset:
        """All splits; only retraining opens the test split."""
        return load_data(self.settings.data, seed=self.settings.seed)

    @cached_property
    def data(self) -> SearchData:
        """Training and validation images: all that training and search can reach."""
        return self.dataset.search_view()

    @cached_property
    def recipe(self) -> Recipe:
        """How the supernet is trained."""
        values = {k: v for k, v in self.settings.recipe.items() if k in Recipe.model_fields}
        self._check_recipe_names()
        try:
            recipe = Recipe(**values)  # type: ignore[arg-type]  # pydantic checks the types
        except ValidationError as error:
            raise SettingsError(explain(error, Recipe.model_fields, "recipe")) from None
        if self.settings.epochs is not None:
            return recipe.model_copy(update={"epochs": self.settings.epochs})
        if "epochs" in values:
            return recipe
        steps = max(1, len(self.data.train) // recipe.batch_size)
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, -(-SUPERNET_STEPS // steps)))
        return recipe.model_copy(update={"epochs": epochs})

    @cached_property
    def augmentation(self) -> Augmentation:
        """How the supernet's images are varied: the data's default, changed by the recipe."""
        return self._with_recipe(default_augmentation(self.data))

    def training_batches(self, seed: int) -> TrainBatches:
        """Augmented training images of the supernet by step number."""
        return self._batches(self.augmentation, seed)

    def retraining_batches(self, seed: int) -> TrainBatches:
        """The same for retraining one network, which needs stronger augmentation."""
        varied = self._with_recipe(retrain_augmentation(default_augmentation(self.data)))
        return self._batches(varied, seed)

    def _with_recipe(self, base: Augmentation) -> Augmentation:
        self._check_recipe_names()
        fields = Augmentation.__dataclass_fields__
        chosen: dict[str, Any] = {k: v for k, v in self.settings.recipe.items() if k in fields}
        return dataclasses.replace(base, **chosen)

    def _batches(self, augmentation: Augmentation, seed: int) -> TrainBatches:
        data = self.data
        return TrainBatches(data.train, data.normalisation, augmentation, data.num_classes, seed)

    @cached_property
    def _validation(self) -> EvalBatches:
        return EvalBatches(self.data.validation, self.data.normalisation)

    def judge_by(self, images: int) -> None:
        """Evaluate on a random sample of the validation images, if all would take too long."""
        whole = self.data.validation
        drawn = np.random.default_rng(0).permutation(len(whole))[:images]
        self._validation = EvalBatches(whole.select(np.sort(drawn)), self.data.normalisation)

    @cached_property
    def _calibration(self) -> EvalBatches:
        first = torch.arange(min(len(self.data.train), EVALUATION_BATCH * CALIBRATION_BATCHES))
        return EvalBatches(self.data.train.select(first.numpy()), self.data.normalisation)

    def validation_batches(self, resolution: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation split at a resolution."""
        return self._validation.batches(resolution, EVALUATION_BATCH)

    def calibration_images(self, resolution: int) -> Iterator[Tensor]:
        """Training images without augmentation, for batch-norm statistics."""
        for images, _ in self._calibration.batches(resolution, EVALUATION_BATCH):
            yield images

    def evaluate(self, supernet: Supernet, architecture: Architecture) -> Evaluation:
        """A child's scores on the validation split, with the shared weights."""
        return evaluate_child(
            supernet, architecture, self.validation_batches, self.calibration_images
        )

    def lessons(self, supernet: Supernet) -> Lessons:
        """Losses and gradients of children on training images, for searchers that use them."""
        return Lessons(self.space, supernet, self.training_batches(self.settings.seed).batch)

    def supernet_key(self) -> str:
        """Name of the trained supernet: a hash of everything that decides its weights."""
        parts = {
            "space": self.whole_space.fingerprint,
            "data": self.dataset.id,
            "recipe": self.recipe.model_dump_json(),
            "augmentation": repr(self.augmentation),
            "seed": self.settings.seed,
            "torch": torch.__version__,
            "device": self.device.type,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _target(self, choice: TargetChoice) -> Target:
        given = choice.model_dump(exclude={"hardware", "budgets_ms"}, exclude_none=True)
        return Target(choice.hardware, resolution=self.settings.resolution, **given)

    def _check_recipe_names(self) -> None:
        known = [*Recipe.model_fields, *Augmentation.__dataclass_fields__]
        wrong = [name for name in self.settings.recipe if name not in known]
        if wrong:
            lines = [f"'{name}'.{did_you_mean(name, known)}" for name in wrong]
            raise SettingsError(
                f"The recipe has no {', '.join(lines)} It has: {', '.join(sorted(known))}."
            )


_SHORT = {"batch_size": "batch {}", "threads": "{} threads"}


def short_names(targets: Sequence[Target]) -> tuple[str, ...]:
    """Each target as its device, plus the conditions that differ from others on that device."""
    names = []
    for target in targets:
        alike = [other for other in targets if other.device == target.device]
        words = [
            _SHORT.get(field, "{}").format(getattr(target, field))
            for field in ("runtime", "precision", "layout", "batch_size", "threads")
            if len({getattr(other, field) for other in alike}) > 1
        ]
        names.append(
            " ".join((target.device, f"({', '.join(words)})")) if words else target.device
        )
    return tuple(names)
