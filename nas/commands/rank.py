"""The command `nas rank`: what the word of a run's supernet is worth."""

from __future__ import annotations

from pathlib import Path

from nas.cluster.connection import connected_if
from nas.cluster.resources import RayChoice
from nas.errors import NotFittedError
from nas.progress import Progress
from nas.ranking.result import Ranking
from nas.run.alone import short_training
from nas.run.inputs import known_before
from nas.run.opened import opened
from nas.run.rank import rank as train_and_rank
from nas.run.report import report
from nas.run.supernets import supernet_of_run
from nas.run.threads import keep_helpful_threads
from nas.run.trainings import Plan


def rank(
    path: Path,
    *,
    networks: int,
    epochs: int | None = None,
    seed: int | None = None,
    console: Progress,
    ray: RayChoice | None = None,
) -> Ranking:
    """Train networks of a run alone, and compare what the supernet says of them.

    Args:
        path: The run; its report is written again if it has one.
        networks: How many in all, those trained by an earlier call included.
        epochs: Of each training; None for the run's, or as many as are usual.
        seed: Of the trainings; None for the run's.
        console: Shows the progress.
        ray: The cluster to train on; None for this process.

    Raises:
        RunError: the run has no front yet, or has evaluated too few architectures.
        TrialError: a network failed on the cluster; the others are kept.
    """
    with connected_if(ray) as cluster, opened(path, console, cluster) as (work, front):
        if cluster is None:
            keep_helpful_threads(console)
        context = work.context
        how = short_training(context, epochs or work.settings.verify_epochs, seed)
        plan = Plan(work, lambda: supernet_of_run(work), how)
        ranking = train_and_rank(work, front.members, plan, networks)
        if work.folder.finished("report"):
            try:
                report(work, known_before(work), supernet_of_run(work))
            except NotFittedError as error:
                console.say(f"the report stays as it was: {error}")
        return ranking
