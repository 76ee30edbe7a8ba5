"""From the front to finished networks: trained to the end, scored once, exported.

networks/<id>/checkpoint.safetensors   while it trains
networks/<id>/network.safetensors      trained weights
networks/<id>/result.json              validation and test scores, recipe, curve
"""

from __future__ import annotations

import time
from pathlib import Path

from nas.errors import RunError, SettingsError
from nas.export import DataDescription, default_formats, export_network
from nas.retrain import (
    NetworkResult,
    default_recipe,
    fresh_network,
    retrain,
    score_test,
    score_validation,
)
from nas.run.supernets import checkpoints_at
from nas.run.work import Member, Work
from nas.storage import atomic_write
from search_spaces import Network, build_network
from supernet.calibration import calibrate
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Progress as Steps

DEFAULT_FORMATS = default_formats()


def retrain_chosen(
    work: Work, top: int, from_scratch: bool, epochs: int | None, seed: int
) -> list[NetworkResult]:
    """Train the best `top` answers to each question that are not trained yet."""
    return [
        _retrain(work, member, from_scratch, epochs, seed)
        for member in work.chosen(top)
        if not (work.network_folder(member.id) / "result.json").exists()
    ]


def export_chosen(work: Work, formats: tuple[str, ...], ids: tuple[str, ...] = ()) -> list[Path]:
    """Export the retrained networks, or the best children where none was retrained.

    Args:
        work: The run.
        formats: Besides `architecture.yaml` and `model.safetensors`.
        ids: Of the front; what was not retrained is exported with the shared weights.

    Raises:
        RunError: an id is not on the front, or there is no front to export from.
    """
    front = {member.id: member for member in work.front()}
    wanted = list(ids) or list(work.network_results()) or [m.id for m in work.chosen(1)]
    missing = [id for id in wanted if id not in front]
    if missing:
        raise RunError(
            f"Not on the front of '{work.path}': {', '.join(missing)}. "
            f"There are: {', '.join(front) or 'none'}."
        )
    return [_export(work, front[id], formats) for id in wanted]


def _retrain(
    work: Work, member: Member, from_scratch: bool, epochs: int | None, seed: int
) -> NetworkResult:
    context, architecture = work.context, member.architecture
    data, folder = context.data, work.network_folder(member.id)
    recipe = default_recipe(from_scratch, len(data.train))
    if epochs is not None:
        recipe = recipe.model_copy(update={"epochs": epochs})
    batches = context.retraining_batches(seed)
    if len(data.train) < recipe.batch_size:
        recipe = recipe.model_copy(update={"batch_size": max(2, len(data.train))})
    network = (
        fresh_network(architecture, data.in_channels, data.num_classes, seed)
        if from_scratch
        else work.trained.supernet.extract(architecture)
    ).to(context.device)
    key = f"network {member.id}, {recipe.model_dump_json()}, {from_scratch=}, {seed=}"
    started = time.monotonic()
    steps = batches.steps_per_epoch(recipe.batch_size) * recipe.epochs
    with work.console.task(f"training {member.id}", steps) as advance:

        def progress(now: Steps) -> None:
            advance(now.step, f"loss {now.loss:.3f}")

        curve = retrain(
            network,
            batches,
            recipe,
            seed=seed,
            validate=lambda net: {"accuracy": score_validation(net, data).accuracy},
            checkpoints=checkpoints_at(folder / "checkpoint.safetensors", key),
            progress=progress,
        )
    result = NetworkResult(
        id=member.id,
        validation=score_validation(network, data),
        test=score_test(network, context.dataset),
        from_scratch=from_scratch,
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
    return result


def _export(work: Work, member: Member, formats: tuple[str, ...]) -> Path:
    folder = work.network_folder(member.id)
    scores = {"validation_accuracy": float(member.entry["accuracy"])}
    results = work.network_results()
    if member.id in results:
        scores = {
            "validation_accuracy": results[member.id]["validation"]["accuracy"],
            "test_accuracy": results[member.id]["test"]["accuracy"],
        }
    network = trained_network(work, member)
    data = DataDescription.of(work.context.data)
    export_network(network, folder, data=data, scores=scores, formats=formats)
    work.console.say(f"exported to {folder}")
    return folder


def trained_network(work: Work, member: Member) -> Network:
    """A member of the front with its own trained weights, or else with the shared ones."""
    context, path = work.context, work.network_folder(member.id) / "network.safetensors"
    if not path.exists():
        network = work.trained.supernet.extract(member.architecture)
        images = context.evaluation_images.calibration(member.architecture.resolution)
        calibrate(network, (x.to(context.device) for x in images))
        return network
    tensors, description = from_bytes(path.read_bytes(), str(path))
    if description["id"] != member.id:
        raise SettingsError(f"'{path}' holds network {description['id']}. Delete its folder.")
    data = context.data
    network = build_network(member.architecture, data.in_channels, data.num_classes)
    network.load_state_dict(tensors)
    return network.eval()
