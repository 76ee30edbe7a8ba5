"""Retraining members of a front: in this process one after the other, or on a cluster.

networks/<id>/checkpoint.safetensors   while it trains here; on a cluster Ray keeps checkpoints
networks/<id>/network.safetensors      trained weights
networks/<id>/result.json              validation and test scores, recipe, curve
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from nas.cluster.storage import Storage
from nas.cluster.trials import Ended, Trial, run_trials
from nas.errors import TrialError
from nas.result import FrontMember
from nas.retrain import NetworkResult, score_test, score_validation
from nas.run.front import network_folder
from nas.run.network_job import TEACHER, NetworkJob
from nas.run.retraining import Retraining, recipe_of
from nas.run.retraining_teacher import answers_of, teacher_named
from nas.run.supernets import TrainedSupernet, checkpoints_at
from nas.run.work import Work
from nas.storage import atomic_write, atomic_write_json, read_json
from nas.units import format_accuracy
from search_spaces import Network, build_network
from supernet.training.checkpoint import from_bytes, to_bytes
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
    waiting = [
        member
        for member in members
        if not (network_folder(work.path, member.id) / "result.json").exists()
    ]
    if not waiting:
        return
    plan = _Plan(work, waiting, supernet, how)
    if work.cluster is None:
        for member in waiting:
            plan.train_here(member)
    else:
        plan.train_there()


class _Plan:
    """The networks that are to be retrained, with what they start from and learn from."""

    def __init__(
        self,
        work: Work,
        members: Sequence[FrontMember],
        supernet: Callable[[], TrainedSupernet],
        how: Retraining,
    ) -> None:
        self.work, self.members, self.how = work, members, how
        self._supernet = supernet
        self._seed = work.settings.seed if how.seed is None else how.seed
        self._recipe = recipe_of(work.context, how)

    @cached_property
    def start(self) -> TrainedSupernet | None:
        """The supernet whose weights the networks start from."""
        return None if self.how.from_scratch else self._supernet()

    @cached_property
    def answers(self) -> tuple[bytes, str] | None:
        """The teacher's, with their key."""
        if self.how.teacher is None:
            return None
        teacher = teacher_named(self.work, self.how.teacher, self._supernet)
        return answers_of(self.work, teacher, self._recipe, self._seed)

    def job(self, member: FrontMember) -> NetworkJob:
        """The training of one network."""
        return NetworkJob(
            settings=self.work.settings,
            data_id=self.work.context.data.id,
            architecture=member.architecture,
            recipe=self._recipe,
            seed=self._seed,
            start=None if self.start is None else self.start.key,
            teacher=None if self.answers is None else self.answers[1],
        )

    def train_here(self, member: FrontMember) -> None:
        """Train one network in this process, or continue it."""
        context, job = self.work.context, self.job(member)
        network = job.begin(context, self._weights(member))
        path = network_folder(self.work.path, member.id) / "checkpoint.safetensors"
        steps = context.retraining_batches(job.seed).steps_per_epoch(job.recipe.batch_size)
        title = f"training {member.id}"
        started = time.monotonic()
        with self.work.console.task(title, steps * job.recipe.epochs) as advance:
            curve = job.train(
                context,
                network,
                None if self.answers is None else self.answers[0],
                checkpoints=checkpoints_at(path, job.key),
                progress=lambda now: advance(now.step, f"loss {now.loss:.3f}"),
            )
        _keep(self.work, job, network, curve, time.monotonic() - started)
        path.unlink(missing_ok=True)

    def train_there(self) -> None:
        """Train all networks on the cluster, or continue them."""
        assert self.work.cluster is not None
        storage = Storage.at(self.work.cluster.choice.storage or self.work.path / "cluster")
        shared = {} if self.answers is None else {TEACHER: self.answers[0]}
        shared |= {m.id: w for m in self.members if (w := self._weights(m)) is not None}
        trials = [self._trial(member) for member in self.members]
        ended: list[Ended] = []
        # Values are tuned for one network after the other; else all networks are trials of one.
        for group in [[trial] for trial in trials] if self.how.tuning else [trials]:
            started = time.monotonic()
            found = run_trials(
                self.work.cluster,
                group,
                self.how.manner,
                storage=storage,
                shared=shared,
                console=self.work.console,
                tuning=self.how.tuning,
            )
            for each in _best(found) if self.how.tuning else found:
                ended.append(each)
                self._keep(each, time.monotonic() - started)
            for each in found:
                if each.outcome == "done":
                    (storage / each.name).delete()
        _say_failures(self.work, ended)

    def _trial(self, member: FrontMember) -> Trial:
        name = f"{_name_of(self.work.path)}-{member.id}"
        return Trial(name, f"training {member.id}", self.job(member))

    def _keep(self, ended: Ended, seconds: float) -> None:
        """Score and keep a network that was trained on the cluster."""
        if ended.content is None:
            return
        job = ended.trial.job.changed(ended.values)
        tensors, description = from_bytes(ended.content, f"of {ended.trial.name}")
        network = build_network(job.architecture, self.work.context.data.shape)
        network.load_state_dict(tensors)
        network.to(self.work.context.device)
        _keep(self.work, job, network.eval(), description["curve"], seconds)

    def _weights(self, member: FrontMember) -> bytes | None:
        """Of the supernet, for one network."""
        if self.start is None:
            return None
        return to_bytes(self.start.supernet.extract(member.architecture).state_dict(), {})


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


def _best(ended: Sequence[Ended]) -> list[Ended]:
    """The best of one network's trials; one that failed if none was done."""
    done = [each for each in ended if each.outcome == "done"]
    return [max(done, key=lambda each: each.score)] if done else list(ended[:1])


def _say_failures(work: Work, ended: Sequence[Ended]) -> None:
    """Tell what went wrong.

    Raises:
        TrialError: a network has no result.
    """
    lost = []
    for each in ended:
        if each.failures and each.outcome == "done":
            work.console.say(
                f"{each.trial.title}: done, after {len(each.failures)} failures of its workers"
            )
        if each.outcome in ("failed", "over the limit"):
            why = f" ({each.failures[-1]})" if each.failures else ""
            lost.append(f"{each.trial.job.architecture.id} {each.outcome}{why}")
        elif each.outcome == "stopped early":
            work.console.say(f"{each.trial.title}: stopped early, because others were better")
    if lost:
        raise TrialError(
            f"{len(lost)} of {len(ended)} networks were not retrained: {'; '.join(lost)}. The "
            "others are kept. Run the same command again to continue these from their checkpoints."
        )


def _name_of(run: Path) -> str:
    """A name that no other run has, for its checkpoints in a storage that runs share."""
    path = run / "cluster.json"
    if not path.exists():
        atomic_write_json(path, {"name": f"{run.name}-{uuid.uuid4().hex[:8]}"})
    return str(read_json(path)["name"])
