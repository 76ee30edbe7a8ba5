"""Members of the front, trained alone and scored on the test split.

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
from nas.result import FrontMember
from nas.retrain import (
    NetworkResult,
    default_recipe,
    fine_tune_recipe,
    fitted,
    fresh_network,
    retrain,
    score_test,
    score_validation,
)
from nas.run.front import network_folder
from nas.run.supernets import TrainedSupernet, checkpoints_at
from nas.run.work import Work
from nas.storage import atomic_write, read_json
from nas.units import format_accuracy
from search_spaces import Network, build_network
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Progress as Steps
from supernet.training.recipe import Recipe

FINE_TUNE_EPOCHS = 4
"""Of a network whose weights go back to a donor's, if the settings do not say how many."""


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
    recipe: Recipe,
    seed: int,
) -> list[Trained]:
    """Retrain networks; one that was retrained before is read from its folder.

    Args:
        work: The run.
        members: The members of its front to retrain.
        start: The supernet whose weights to start from; None for new weights.
        recipe: How they are trained.
        seed: Decides new weights, the order of the images and their augmentation.
    """
    for member in members:
        if not (network_folder(work.path, member.id) / "result.json").exists():
            _retrain(work, member, start, recipe, seed)
    return [retrained(work, member) for member in members]


def recipe_of(work: Work) -> Recipe:
    """How the run's settings ask to retrain."""
    s = work.settings
    return retraining_recipe(
        work, from_scratch=s.from_scratch, epochs=s.retrain_epochs, fine_tune=s.fine_tune
    )


def retraining_recipe(
    work: Work, *, from_scratch: bool, epochs: int | None = None, fine_tune: int | None = None
) -> Recipe:
    """A recipe for the run's training images.

    Args:
        work: The run.
        from_scratch: Whether training begins with new weights.
        epochs: Number of epochs; None for the usual number.
        fine_tune: Number of epochs of a short training from the shared weights; None for a long
            one, unless the shared weights go back to a donor's, which a long one would replace.
    """
    images = len(work.context.data.train)
    if fine_tune is None and not from_scratch and work.context.donor is not None:
        fine_tune = epochs or FINE_TUNE_EPOCHS
    if fine_tune is not None:
        return fitted(fine_tune_recipe(fine_tune), images)
    recipe = default_recipe(from_scratch, images)
    if epochs is not None:
        recipe = recipe.model_copy(update={"epochs": epochs})
    return fitted(recipe, images)


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


def _retrain(
    work: Work, member: FrontMember, start: TrainedSupernet | None, recipe: Recipe, seed: int
) -> None:
    """Train one network, score it and keep it."""
    data, folder = work.context.data, network_folder(work.path, member.id)
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
    judged, tested = len(data.validation), len(work.context.dataset.open_test())
    work.console.say(
        f"{member.id}: {format_accuracy(result.validation.accuracy, judged)} of the validation "
        f"images, {format_accuracy(result.test.accuracy, tested)} of the test images"
    )


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
