"""The teacher of retrained networks: `largest`, RUN/ID, or the folder of an exported network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.errors import SettingsError
from nas.export import DataDescription
from nas.export.load import load_exported, read_description
from nas.retrain.stored_teacher import MOST_CLASSES, write
from nas.run.folder import find_run
from nas.run.front import network_folder
from nas.run.supernets import TrainedSupernet
from nas.run.work import Work
from nas.storage import atomic_write, cache_dir, lock
from search_spaces import Network
from supernet.calibration import calibrate
from supernet.training.recipe import Recipe

LARGEST = "largest"
ALIKE = 0.1
"""Share of a deviation by which means and deviations of the pixels may differ."""


def teacher_named(work: Work, name: str, supernet: Callable[[], TrainedSupernet]) -> Network:
    """The network that a person names, in eval mode.

    Args:
        work: The run.
        name: `largest` for the largest child of the run's supernet, RUN/ID for a network of a
            run, or the folder of an exported network.
        supernet: Gives the trained supernet, if it is needed.

    Raises:
        CheckpointError: there is no such network, or its files are damaged.
        RunError: there is no such run.
        SettingsError: it reads other images or has other classes than the data.
    """
    if name == LARGEST:
        return _largest(work, supernet())
    folder = Path(name)
    if not folder.exists():
        if len(folder.parts) < 2:
            raise SettingsError(
                f"There is no network '{name}' to learn from. --teacher takes largest (of the "
                "supernet), RUN/ID, or the folder of an exported network."
            )
        folder = network_folder(find_run(folder.parent), folder.name)
    network = load_exported(folder)
    _check_images(name, read_description(folder).data, DataDescription.of(work.context.data))
    return network.to(work.context.device)


def _check_images(name: str, taught: DataDescription, data: DataDescription) -> None:
    """Refuse a teacher whose answers would mean something else on these images.

    Raises:
        SettingsError: it reads other images or has other classes than the data.
    """
    if taught.shape != data.shape:
        raise SettingsError(
            f"The teacher '{name}' is for images with {taught.shape}, and the data has "
            f"{data.shape}. Name a network that was trained on the same classes."
        )
    if taught.classes != data.classes:
        raise SettingsError(
            f"The teacher '{name}' has the classes {', '.join(taught.classes)}, and the data has "
            f"{', '.join(data.classes)}. Name a network that was trained on the same classes."
        )
    if not _normalised_alike(taught, data):
        raise SettingsError(
            f"The teacher '{name}' expects images that are normalised in another way, as if one "
            "of the two runs had started from a pretrained network and the other not. Name a "
            "network of a run that started as this one did."
        )


def _normalised_alike(one: DataDescription, other: DataDescription) -> bool:
    """Whether both prepare images alike; two splits of the same images differ a little."""
    return (
        one.scale == other.scale
        and np.allclose(one.mean, other.mean, rtol=0.0, atol=ALIKE * min(one.std))
        and np.allclose(one.std, other.std, rtol=ALIKE, atol=0.0)
    )


def answers_of(work: Work, teacher: Network, recipe: Recipe, seed: int) -> tuple[bytes, str]:
    """The teacher's answers to the images of a retraining, and their key; written only once.

    They are kept in `<cache>/teachers/`, for all trainings with the same images.
    """
    data = work.context.retraining_batches(seed)
    steps = data.steps_per_epoch(recipe.batch_size) * recipe.epochs
    key = _key(work, teacher, recipe, seed)
    path = cache_dir() / "teachers" / f"{key}.safetensors"
    with lock(path.with_suffix(".lock"), say=work.console.say):
        if not path.exists():
            with work.console.task("asking the teacher", steps) as advance:
                content = write(
                    lambda images: teacher(images.to(work.context.device)),
                    data,
                    resolution=teacher.architecture.resolution,
                    batch_size=recipe.batch_size,
                    steps=steps,
                    key=key,
                    progress=lambda step: advance(step, ""),
                )
            atomic_write(path, content)
    return path.read_bytes(), key


def _largest(work: Work, trained: TrainedSupernet) -> Network:
    context = work.context
    architecture = context.space.decode(context.space.largest())
    network = trained.supernet.extract(architecture)
    images = context.evaluation_images.calibration(architecture.resolution)
    calibrate(network, (x.to(context.device) for x in images))
    return network


def _key(work: Work, teacher: Network, recipe: Recipe, seed: int) -> str:
    """A hash of everything that decides the answers."""
    known = hashlib.sha256()
    for name, tensor in sorted(teacher.state_dict().items()):
        known.update(name.encode() + _bytes(tensor))
    parts = (
        teacher.architecture.id,
        work.context.dataset.id,
        work.context.retraining_augmentation,
        recipe.batch_size,
        recipe.epochs,
        seed,
        MOST_CLASSES,
        torch.__version__,
    )
    known.update(repr(parts).encode())
    return known.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()
