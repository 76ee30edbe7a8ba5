"""Networks trained alone by one short recipe, to see what the supernet's word is worth.

    alone/<recipe>/<id>/checkpoint.safetensors   while it trains here
    alone/<recipe>/<id>/result.json              its validation scores, and how it was trained
    alone/<recipe>/chosen.json                   which networks `nas rank` chose

From new weights, a third of the usual epochs; with a donor from the supernet's weights, as long as
such networks are trained in the end. Training images only; the test split stays closed. `nas rank`
and `nas search --verify` share the results, and no network is trained twice by the same recipe.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.result import shown_metric
from nas.retrain import score_validation, short_epochs
from nas.run.context import Context
from nas.run.network_job import NetworkJob
from nas.run.retraining import FINE_TUNE_EPOCHS, Retraining
from nas.run.trainings import Keep, Plan, train_all
from nas.run.work import Work
from nas.search.records import Record
from nas.storage import atomic_write_json, read_json
from nas.units import format_accuracy
from search_spaces import Network
from supernet.scores import Evaluation
from supernet.training.loop import Curve


@dataclass(frozen=True)
class Alone:
    """A network that was trained alone."""

    id: str
    validation: Evaluation
    seconds: float


def short_training(context: Context, epochs: int | None, seed: int | None = None) -> Retraining:
    """How networks are trained to be compared with what the supernet says of them.

    Args:
        context: The run's settings.
        epochs: None for as many as are usual for these images.
        seed: None for the run's.
    """
    if context.donor is not None:
        return Retraining(seed=seed, fine_tune=epochs or FINE_TUNE_EPOCHS)
    epochs = epochs or short_epochs(len(context.data.train))
    return Retraining(seed=seed, epochs=epochs, from_scratch=True)


def in_words(plan: Plan) -> str:
    """The recipe in a sentence."""
    start = "new weights" if plan.start is None else "the supernet's weights"
    recipe, s = plan.recipe, "" if plan.recipe.epochs == 1 else "s"
    return (
        f"trained alone from {start}: {recipe.epochs} epoch{s} at a learning rate of "
        f"{recipe.learning_rate:g}, batches of {recipe.batch_size}, seed {plan.seed}"
    )


def train_alone(work: Work, plan: Plan, records: Sequence[Record]) -> dict[str, Alone]:
    """Train networks alone, or read what was trained before; by id.

    Args:
        work: The run.
        plan: How they are trained.
        records: Evaluated architectures of the searched space.

    Raises:
        TrialError: a network failed on the cluster; the others are kept.
    """
    folder, space = folder_of(work.path, plan), work.context.space
    waiting = [r for r in records if not (folder / r.id / "result.json").exists()]
    trainings = [
        plan.training(
            space.decode(np.array(record.code)),
            folder / record.id,
            f"alone-{folder.name}-{record.id}",
        )
        for record in waiting
    ]
    if trainings:
        train_all(work, trainings, _keep_in(folder, work))
    return {record.id: _read(folder / record.id) for record in records}


def trained_before(work: Work, plan: Plan, records: Sequence[Record]) -> list[int]:
    """Which of the records were trained alone by this plan before."""
    folder = folder_of(work.path, plan)
    return [i for i, r in enumerate(records) if (folder / r.id / "result.json").exists()]


def folder_of(run: Path, plan: Plan) -> Path:
    """Where the networks of this recipe are; other recipes have other folders."""
    start = None if plan.start is None else plan.start.key
    known = f"{plan.recipe.model_dump_json()}, seed {plan.seed}, from {start}"
    return run / "alone" / hashlib.sha256(known.encode()).hexdigest()[:8]


def _keep_in(folder: Path, work: Work) -> Keep:
    """Scores a trained network on the validation split, and writes its result."""
    data, metric = work.context.data, shown_metric(work.context.metric)

    def keep(job: NetworkJob, network: Network, curve: Curve, seconds: float) -> None:
        score, id = score_validation(network, data), job.architecture.id
        document = {
            "schema": 1,
            "id": id,
            "validation": dataclasses.asdict(score),
            "recipe": job.recipe.model_dump(),
            "seed": job.seed,
            "start": job.start,
            "seconds": round(seconds, 1),
        }
        atomic_write_json(folder / id / "result.json", document)
        shown = format_accuracy(getattr(score, metric), len(data.validation))
        work.console.say(f"{id}: {shown} of the validation images")

    return keep


def _read(folder: Path) -> Alone:
    document: Mapping[str, Any] = read_json(folder / "result.json")
    return Alone(document["id"], Evaluation(**document["validation"]), document["seconds"])
