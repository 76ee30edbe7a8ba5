"""The objects that a run's settings name: the space, the images, the targets, the recipe.

Each object is made when it is first needed and then kept. Nothing here reads the test split.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch

from nas.baselines.networks import check_names as check_stock_names
from nas.data import Dataset, Images, Normalisation, SearchData, load_data
from nas.data.augment import Augmentation, default_augmentation
from nas.data.batches import TrainBatches
from nas.data.load import normalisation_for
from nas.data.unlabelled import Unlabelled, load_unlabelled
from nas.environment import keep_to_usable_cpus
from nas.latency import Target
from nas.latency.devices import check
from nas.latency.gpu.predictor import GpuModel
from nas.pretrained import Donor, Teacher, check_teacher, load_teacher
from nas.reading import ReadOptions
from nas.result import Metric
from nas.retrain import retrain_augmentation
from nas.run.choosing import Chosen, choose_donor, choose_space, donor_of, resolutions_for
from nas.run.evaluator import EvaluationImages
from nas.run.recipe import TrainingChoices, read_recipe
from nas.run.targets import short_names, targets_of
from nas.search.gradients.supernet_gradients import SupernetGradients
from nas.search.objectives import Budgets
from nas.search.searchers.registry import usable
from nas.settings import Settings
from search_spaces import Architecture, SearchSpace, load_space
from supernet.supernet import Supernet
from supernet.training.recipe import Recipe

SUPERNET_STEPS = 1800
"""Steps that small data is trained for by default: enough for `hybrid-tiny` on the digits."""
FEWEST_EPOCHS, MOST_EPOCHS = 5, 60
DONOR_STEPS = 400
"""The same for a supernet that starts from a donor."""
FEWEST_DONOR_EPOCHS = 3
EVALUATIONS, DONOR_EVALUATIONS = 200, 100
"""Children that a search evaluates by default. Those of a donor see larger images: at 128 px, 200
of them take nearly as long as the training of the supernet."""
WEIGHTS = 2
"""Which names shared weights have: supernets with other names are trained anew."""
SMALL_IMAGES = 40
"""Pixels of a side up to which nobody would use a stock network, so none is compared with."""

Baselines = Literal["auto"] | tuple[str, ...]


class Context:
    """The objects that settings name.

    Args:
        settings: A run's choices.
        judged_by: Number of validation images that children are evaluated on; None for all.

    Raises:
        NasError: a name, a path or a value is wrong; raised when the object is first needed.
    """

    def __init__(self, settings: Settings, judged_by: int | None = None) -> None:
        self.settings, self.judged_by = settings, judged_by
        keep_to_usable_cpus()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def check(self) -> None:
        """Make every object, so that mistakes are reported before anything is written.

        Raises:
            NasError: a name, a path or a value is wrong.
        """
        self.check_names()
        _ = self.space, self.donor, self.data, self.recipe, self.augmentation, self.baselines
        _ = self.unlabelled
        if self.settings.teacher is not None:
            check_teacher(self.settings.teacher)

    def check_names(self) -> None:
        """Make every object that needs no data, for the same reason."""
        usable(self.settings.searcher)
        if self.settings.space is not None:  # else the data decides
            load_space(self.settings.space)
        _ = self.budgets
        for target in self.targets:
            if check(target.device).kind == "gpu":
                GpuModel(target).half_width(self.settings.confidence)
        read_recipe(self.settings.recipe, teacher=self.settings.teacher is not None)
        check_stock_names(self.settings.named_baselines)

    def keep_threads(self) -> None:
        """Write the processor's threads into the settings, so that they hold on any machine."""
        self.settings = self.settings.with_threads([target.threads for target in self.targets])

    def narrow(self, resolutions: Sequence[int] | None) -> None:
        """Search at these resolutions; None for the usual ones. What was read already is kept."""
        chosen = None if resolutions is None else tuple(resolutions)
        self.settings = self.settings.model_copy(update={"resolutions": chosen})
        for name in ("whole_space", "space", "donor_architecture"):
            self.__dict__.pop(name, None)

    @cached_property
    def whole_space(self) -> SearchSpace:
        """The space that the supernet is trained on: its file's, at resolutions for the images."""
        named = load_space(self.chosen_space.name)
        if self.settings.resolutions is not None:
            return named.at(list(self.settings.resolutions))
        if named.definition.donor is None:
            return named
        usual, asked = resolutions_for(named, max(self.data.native_size)), self.settings.resolution
        return named.at(usual if asked is None or asked in usual else [asked])

    @cached_property
    def chosen_space(self) -> Chosen:
        """The name of the space; the data decides if the settings do not."""
        if self.settings.space is not None:
            return Chosen(self.settings.space)
        return choose_space(self.settings, self._plain_data)

    @cached_property
    def chosen_donor(self) -> Chosen:
        """The name of the donor, or "none"."""
        return choose_donor(self.settings, load_space(self.chosen_space.name))

    @cached_property
    def donor(self) -> Donor | None:
        """The published network that the supernet starts from."""
        return donor_of(self.chosen_donor, load_space(self.chosen_space.name))

    @cached_property
    def donor_architecture(self) -> Architecture | None:
        """The donor at the largest resolution: the largest child of the space."""
        if self.donor is None:
            return None
        return self.donor.published.architecture(max(self.whole_space.definition.resolution))

    @cached_property
    def metric(self) -> Metric:
        """The score that the search maximises."""
        if self.settings.metric is not None:
            return self.settings.metric
        return "accuracy" if self.donor is None else "loss"

    @cached_property
    def space(self) -> SearchSpace:
        """The space that is searched: restricted to one resolution if the settings name one."""
        resolution = self.settings.resolution
        return self.whole_space if resolution is None else self.whole_space.restrict(resolution)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Device, runtime, precision, layout, batch, resolution and threads of each latency."""
        return targets_of(self.settings)

    @property
    def target(self) -> Target:
        """The first target; only searches have more than one."""
        return self.targets[0]

    @cached_property
    def target_names(self) -> tuple[str, ...]:
        """Short names of the targets; targets on the same device get longer, different names."""
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
        data = self._plain_dataset
        if self.donor is None:
            return data
        normalisation = normalisation_for(data.train, self.reading, data.fit)
        return dataclasses.replace(data, normalisation=normalisation)

    @cached_property
    def reading(self) -> ReadOptions:
        """How images are read: as the settings say, and normalised as the donor needs them."""
        if self.donor is None:
            return self.settings.reading
        wanted = self.donor.normalisation(self._plain_dataset.shape.channels)
        return dataclasses.replace(self.settings.reading, normalisation=wanted)

    @cached_property
    def _plain_dataset(self) -> Dataset:
        """All splits, as they are without a donor."""
        s = self.settings
        return load_data(s.data, options=s.reading, seed=s.seed)

    @cached_property
    def _plain_data(self) -> SearchData:
        return self._plain_dataset.search_view()

    @cached_property
    def data(self) -> SearchData:
        """Training and validation images; training and search see no others."""
        return self.dataset.search_view()

    @cached_property
    def unlabelled(self) -> Unlabelled | None:
        """Images without labels, about which the teacher speaks."""
        spec = self.settings.unlabelled
        return None if spec is None else load_unlabelled(spec, self.dataset, self.reading)

    def load_teacher(self) -> Teacher | None:
        """The external teacher with its published weights; a new copy each time.

        Raises:
            UnknownNameError, WeightsError: it is unknown, or its weights cannot be had.
        """
        s = self.settings
        if s.teacher is None:
            return None
        child = self.whole_space.decode(self.whole_space.largest())
        return load_teacher(s.teacher, child.resolution, self.data.shape, s.seed)

    @cached_property
    def teacher_digest(self) -> str | None:
        """Of the external teacher's weights."""
        teacher = self.load_teacher()
        return None if teacher is None else teacher.digest

    @cached_property
    def training(self) -> TrainingChoices:
        """The training choices in the settings' recipe."""
        s = self.settings
        return read_recipe(s.recipe, self.donor is not None, s.teacher is not None)

    @cached_property
    def recipe(self) -> Recipe:
        """How the supernet is trained."""
        recipe = self.training.recipe
        if self.settings.epochs is not None:
            return recipe.model_copy(update={"epochs": self.settings.epochs})
        if self.training.epochs_given:
            return recipe
        steps = max(1, len(self.data.train) // recipe.batch_size)
        if self.donor is None:
            epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, -(-SUPERNET_STEPS // steps)))
        else:
            epochs = min(MOST_EPOCHS, max(FEWEST_DONOR_EPOCHS, -(-DONOR_STEPS // steps)))
        return recipe.model_copy(update={"epochs": epochs})

    @property
    def evaluations(self) -> int:
        """How many children the search evaluates."""
        usual = EVALUATIONS if self.donor is None else DONOR_EVALUATIONS
        return self.settings.evaluations or usual

    @cached_property
    def augmentation(self) -> Augmentation:
        """Augmentation of the supernet's images: the data's default, changed by the recipe."""
        return self.training.change(default_augmentation(self.data))

    @cached_property
    def retraining_augmentation(self) -> Augmentation:
        """Augmentation of the images of a network that is trained alone."""
        return self.training.change(retrain_augmentation(default_augmentation(self.data)))

    @cached_property
    def baselines(self) -> Baselines:
        """Which stock networks to compare with: some are chosen, those named, or none."""
        asked = self.settings.baselines
        if asked != ("auto",):
            return self.settings.named_baselines
        return "auto" if min(self.data.native_size) > SMALL_IMAGES else ()

    def training_batches(self, seed: int) -> TrainBatches:
        """Augmented training images of the supernet by step number."""
        return self._batches(self.augmentation, seed)

    def retraining_batches(
        self, seed: int, normalisation: Normalisation | None = None
    ) -> TrainBatches:
        """Augmented images for a network that is trained alone, which needs more variation.

        Args:
            seed: Decides their order and augmentation.
            normalisation: That of published weights; None for the data's.
        """
        return self._batches(self.retraining_augmentation, seed, normalisation)

    def batches_of(self, images: Images, seed: int) -> TrainBatches:
        """Other images by step number, varied like the supernet's."""
        data = self.data
        return TrainBatches(
            images, data.normalisation, self.augmentation, data.shape.classes, seed
        )

    def _batches(
        self, augmentation: Augmentation, seed: int, normalisation: Normalisation | None = None
    ) -> TrainBatches:
        data = self.data
        normalisation = normalisation or data.normalisation
        return TrainBatches(data.train, normalisation, augmentation, data.shape.classes, seed)

    @cached_property
    def evaluation_images(self) -> EvaluationImages:
        """The images that children are evaluated on."""
        return EvaluationImages(self.data, self.judged_by)

    def gradients(self, supernet: Supernet) -> SupernetGradients:
        """Losses and gradients of children on training images, for the searchers that use them."""
        return SupernetGradients(
            self.space, supernet, self.training_batches(self.settings.seed).batch
        )

    def supernet_key(
        self, teacher: str | None = None, device: str | None = None, workers: int = 1
    ) -> str:
        """The name of a trained supernet: a hash of everything that decides its weights.

        Args:
            teacher: What decides the answers of an external teacher.
            device: The kind of device that it is trained on; None for the one at hand.
            workers: How many workers train it. It matters only if each has children of its own.
        """
        parts = {
            "weights": WEIGHTS,
            "space": self.whole_space.fingerprint,
            "data": self.dataset.id,
            "recipe": self.recipe.model_dump_json(),
            "sampler": str(self.training.sampler),
            "supervision": str(self.training.supervision),
            "augmentation": repr(self.augmentation),
            "seed": self.settings.seed,
            "donor": None if self.donor is None else self.donor.digest,
            "teacher": teacher,
            "torch": torch.__version__,
            "device": device or self.device.type,
        }
        if self.training.own_children and workers > 1:
            parts["workers"] = workers
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
