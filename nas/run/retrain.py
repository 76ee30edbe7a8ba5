"""Retraining members of a front: in this process one after the other, or on a cluster.

networks/<id>/checkpoint.safetensors   while it trains here; on a cluster Ray keeps checkpoints
networks/<id>/network.safetensors      trained weights
networks/<id>/result.json              validation and test scores, recipe, curve
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nas.result import FrontMember
from nas.retrain import NetworkResult, score_test, score_validation
from nas.run.front import network_folder
from nas.run.network_job import NetworkJob
from nas.run.retraining import Retraining
from nas.run.supernets import TrainedSupernet
from nas.run.trained import results_of
from nas.run.trainings import OnCluster, Plan, train_all
from nas.run.work import Work
from nas.storage import atomic_write
from nas.units import format_accuracy
from search_spaces import Network
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import Curve


def retrain_all(
    work: Work,
    members: Sequence[FrontMember],
    supernet: Callable[[], TrainedSupernet],
    how: Retraining,
) -> None:
    """Retrain networks; one that was retrained before is left as it is.

    Args:
        work: The run.
        members: The members of its front to retrain.
        supernet: Gives the trained supernet, if it is needed.
        how: Recipe, teacher, and how the cluster is used.

    Raises:
        TrialError: a network failed on the cluster, or took too long; the others are kept.
    """
    plan, done = Plan(work, supernet, how), results_of(work.path)
    waiting = [member for member in members if member.id not in done]
    if not waiting:
        return

    def keep(job: NetworkJob, network: Network, curve: Curve, seconds: float) -> None:
        _keep(work, job, network, curve, seconds)

    train_all(
        work,
        [
            plan.training(member.architecture, network_folder(work.path, member.id), member.id)
            for member in waiting
        ],
        keep,
        answers=None if plan.answers is None else plan.answers[0],
        cluster=OnCluster(how.manner, how.tuning and replace(how.tuning, seed=plan.seed)),
    )


def _keep(work: Work, job: NetworkJob, network: Network, curve: Curve, seconds: float) -> None:
    """Score a trained network once on the test split, and write its files."""
    context, id = work.context, job.architecture.id
    result = NetworkResult(
        id=id,
        validation=score_validation(network, context.data),
        test=score_test(network, context.dataset),
        from_scratch=job.start is None,
        seed=job.seed,
        recipe=job.recipe,
        curve=curve,
        seconds=round(seconds, 1),
    )
    folder = network_folder(work.path, id)
    atomic_write(folder / "network.safetensors", to_bytes(network.state_dict(), {"id": id}))
    atomic_write(folder / "result.json", result.to_json())
    judged, tested = len(context.data.validation), len(context.dataset.open_test())
    work.console.say(
        f"{id}: {format_accuracy(result.validation.accuracy, judged)} of the validation images, "
        f"{format_accuracy(result.test.accuracy, tested)} of the test images"
    )
