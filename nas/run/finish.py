"""From the front to finished networks: retrained, scored once on the test split, exported.

networks/<id>/checkpoint.safetensors   while it trains
networks/<id>/network.safetensors      trained weights
networks/<id>/result.json              validation and test scores, recipe, curve
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import SettingsError
from nas.export import DataDescription, default_formats, export_network
from nas.result import FrontMember
from nas.retrain import (
    NetworkResult,
    default_recipe,
    fresh_network,
    retrain,
    score_test,
    score_validation,
)
from nas.run.front import network_folder
from nas.run.supernets import TrainedSupernet, checkpoints_at
from nas.run.work import Work
from nas.storage import atomic_write, read_json
from search_spaces import Network, build_network
from supernet.calibration import calibrate
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Progress as Steps
from supernet.training.recipe import Recipe

DEFAULT_FORMATS = default_formats()


@dataclass(frozen=True)
class Trained:
    """A network with its weights."""

    network: Network
    scores: dict[str, float]
    """`validation_accuracy`, and `test_accuracy` if it was retrained."""


def retrain_all(
    work: Work,
    members: Sequence[FrontMember],
    start: TrainedSupernet | None,
    *,
    epochs: int | None,
    seed: int,
) -> list[Trained]:
    """Retrain networks; one that was retrained before is read from its folder.

    Args:
        work: The run.
        members: The members of its front to retrain.
        start: The supernet whose weights to start from; None for new weights.
        epochs: Number of epochs; None for the recipe's.
        seed: Decides new weights, the order of the images and their augmentation.
    """
    for member in members:
        if not (network_folder(work.path, member.id) / "result.json").exists():
            _retrain(work, member, start, epochs, seed)
    return [retrained(work, member) for member in members]


def results_of(run: Path) -> dict[str, NetworkResult]:
    """The results of a run's retrained networks, by id."""
    found = sorted((run / "networks").glob("*/result.json"))
    return {path.parent.name: NetworkResult.from_dict(read_json(path)) for path in found}


def retrained(work: Work, member: FrontMember) -> Trained:
    """A retrained network, read from its folder."""
    folder, data = network_folder(work.path, member.id), work.context.data
    path = folder / "network.safetensors"
    tensors, description = from_bytes(path.read_bytes(), str(path))
    if description["id"] != member.id:
        raise SettingsError(f"'{path}' holds network {description['id']}. Delete its folder.")
    network = build_network(member.architecture, data.shape)
    network.load_state_dict(tensors)
    result = NetworkResult.from_dict(read_json(folder / "result.json"))
    scores = {
        "validation_accuracy": result.validation.accuracy,
        "test_accuracy": result.test.accuracy,
    }
    return Trained(network.eval(), scores)


def child(work: Work, member: FrontMember, trained: TrainedSupernet) -> Trained:
    """A network with the supernet's weights, not retrained."""
    context = work.context
    network = trained.supernet.extract(member.architecture)
    images = context.evaluation_images.calibration(member.architecture.resolution)
    calibrate(network, (x.to(context.device) for x in images))
    return Trained(network, {"validation_accuracy": member.accuracy})


def export_all(work: Work, networks: Sequence[Trained], formats: Sequence[str]) -> list[Path]:
    """Write each network to its folder: architecture and weights, then the other `formats`."""
    data, donor = DataDescription.of(work.context.data), work.context.donor
    fresh = donor is None or work.settings.from_scratch
    origin = None if fresh or donor is None else donor.describe()
    folders = []
    for each in networks:
        folder = network_folder(work.path, each.network.architecture.id)
        export_network(
            each.network,
            folder,
            data=data,
            scores=each.scores,
            formats=tuple(formats),
            pretrained=origin,
        )
        work.console.say(f"exported to {folder}")
        folders.append(folder)
    return folders


def _retrain(
    work: Work, member: FrontMember, start: TrainedSupernet | None, epochs: int | None, seed: int
) -> None:
    """Train one network, score it and keep it."""
    data, folder = work.context.data, network_folder(work.path, member.id)
    recipe = _recipe(len(data.train), start is None, epochs)
    network = (
        fresh_network(member.architecture, data.shape, seed)
        if start is None
        else start.supernet.extract(member.architecture)
    ).to(work.context.device)
    started = time.monotonic()
    curve = _train(work, member, network, recipe, seed, from_scratch=start is None)
    result = NetworkResult(
        id=member.id,
        validation=score_validation(network, data),
        test=score_test(network, work.context.dataset),
        from_scratch=start is None,
        seed=seed,
        recipe=recipe,
        curve=curve,
        seconds=round(time.monotonic() - started, 1),
    )
    atomic_write(folder / "network.safetensors", to_bytes(network.state_dict(), {"id": member.id}))
    atomic_write(folder / "result.json", result.to_json())
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    work.console.say(
        f"{member.id}: {result.validation.accuracy:.2%} of the validation images, "
        f"{result.test.accuracy:.2%} of the test images"
    )


def _recipe(images: int, from_scratch: bool, epochs: int | None) -> Recipe:
    """The recipe for a number of training images."""
    recipe = default_recipe(from_scratch, images)
    if epochs is not None:
        recipe = recipe.model_copy(update={"epochs": epochs})
    if images < recipe.batch_size:
        recipe = recipe.model_copy(update={"batch_size": max(2, images)})
    return recipe


def _train(
    work: Work,
    member: FrontMember,
    network: Network,
    recipe: Recipe,
    seed: int,
    from_scratch: bool,
) -> list[dict[str, float]]:
    """Train, or continue from the checkpoint; returns the validation curve."""
    batches = work.context.retraining_batches(seed)
    key = f"network {member.id}, {recipe.model_dump_json()}, {from_scratch=}, {seed=}"
    path = network_folder(work.path, member.id) / "checkpoint.safetensors"
    steps = batches.steps_per_epoch(recipe.batch_size) * recipe.epochs
    with work.console.task(f"training {member.id}", steps) as advance:

        def progress(now: Steps) -> None:
            advance(now.step, f"loss {now.loss:.3f}")

        return retrain(
            network,
            batches,
            recipe,
            seed=seed,
            validate=lambda net: {"accuracy": score_validation(net, work.context.data).accuracy},
            checkpoints=checkpoints_at(path, key),
            progress=progress,
        )
