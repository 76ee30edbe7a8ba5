"""Trainings of networks of a run: here one after the other, side by side, or on a cluster."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nas.cluster.storage import Storage
from nas.cluster.trials import Ended, Manner, Trial, Tuning, run_trials
from nas.errors import TrialError
from nas.run.jobs import shown
from nas.run.network_job import TEACHER, NetworkJob
from nas.run.retraining import Retraining, recipe_of
from nas.run.retraining_teacher import answers_of, teacher_named
from nas.run.side_by_side import processes_for, train_side_by_side
from nas.run.supernets import TrainedSupernet, checkpoints_at
from nas.run.training_process import Order
from nas.run.work import Work
from nas.storage import atomic_write_json, read_json
from search_spaces import Architecture, Network, build_network
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import CHECKPOINT, Curve

Keep = Callable[[NetworkJob, Network, Curve, float], None]
"""Keeps a trained network with its validation curve and how many seconds it took."""


@dataclass(frozen=True)
class Training:
    """One network to train."""

    job: NetworkJob
    weights: Callable[[], bytes | None]
    """Gives those that it starts from; None for new ones."""
    checkpoint: Path
    """Where its checkpoint is kept while it trains here."""
    name: str
    """Of its folder in a cluster's storage, within those of the run."""

    @property
    def title(self) -> str:
        """What a person sees."""
        return f"training {self.job.architecture.id}"


class Plan:
    """Makes trainings: what networks start from, how they are trained and what they learn from.

    Args:
        work: The run.
        supernet: Gives the trained supernet, if it is needed.
        how: Recipe, seed and teacher.
    """

    def __init__(
        self, work: Work, supernet: Callable[[], TrainedSupernet], how: Retraining
    ) -> None:
        self._work, self._supernet, self._how = work, supernet, how
        self.seed = work.settings.seed if how.seed is None else how.seed
        self.recipe = recipe_of(work.context, how)

    @cached_property
    def start(self) -> TrainedSupernet | None:
        """The supernet whose weights the networks start from."""
        return None if self._how.from_scratch else self._supernet()

    @cached_property
    def answers(self) -> tuple[bytes, str] | None:
        """The teacher's, with their key."""
        if self._how.teacher is None:
            return None
        teacher = teacher_named(self._work, self._how.teacher, self._supernet)
        return answers_of(self._work, teacher, self.recipe, self.seed)

    def training(self, architecture: Architecture, folder: Path, name: str) -> Training:
        """The training of one network, with its checkpoint in a folder."""
        job = NetworkJob(
            settings=self._work.settings,
            data_id=self._work.context.data.id,
            architecture=architecture,
            recipe=self.recipe,
            seed=self.seed,
            start=None if self.start is None else self.start.key,
            teacher=None if self.answers is None else self.answers[1],
        )
        checkpoint = folder / CHECKPOINT
        return Training(job, lambda: self._weights(architecture), checkpoint, name)

    def _weights(self, architecture: Architecture) -> bytes | None:
        """Of the supernet, for one network."""
        if self.start is None:
            return None
        return to_bytes(self.start.supernet.extract(architecture).state_dict(), {})


@dataclass(frozen=True)
class OnCluster:
    """How a cluster trains."""

    manner: Manner = Manner()
    tuning: Tuning | None = None
    """Values of the recipe to try for each network."""


def train_all(
    work: Work,
    trainings: Sequence[Training],
    keep: Keep,
    *,
    answers: bytes | None = None,
    cluster: OnCluster = OnCluster(),
) -> None:
    """Train networks, or continue them; here each is kept as soon as it is done.

    Args:
        work: The run.
        trainings: What to train.
        keep: Called with each trained network, in eval mode.
        answers: A teacher's, if their jobs have one.
        cluster: How the run's cluster trains, if it has one.

    Raises:
        TrialError: a network failed on the cluster, or took too long; the others are kept.
    """
    if work.cluster is not None:
        return _train_there(work, trainings, keep, answers, cluster)
    processes = processes_for(len(trainings), work.context.device)
    if processes > 1:
        return _train_side_by_side(work, trainings, keep, answers, processes)
    for training in trainings:
        _train_here(work, training, keep, answers)


def _train_here(work: Work, training: Training, keep: Keep, answers: bytes | None) -> None:
    """Train one network in this process, or continue it."""
    context, job = work.context, training.job
    network = job.begin(context, training.weights())
    started = time.monotonic()
    with work.console.task(training.title, _steps(work, job)) as advance:
        curve = job.train(
            context,
            network,
            answers,
            checkpoints=checkpoints_at(training.checkpoint, job.key),
            progress=shown(work.console, advance),
        )
    keep(job, network, curve, time.monotonic() - started)
    training.checkpoint.unlink(missing_ok=True)


def _train_side_by_side(
    work: Work,
    trainings: Sequence[Training],
    keep: Keep,
    answers: bytes | None,
    processes: int,
) -> None:
    """Train networks in processes of their own, or continue them."""
    taught = {} if answers is None else {TEACHER: answers}
    orders = [
        Order(t.job, taught | _start(t), t.checkpoint.parent, _steps(work, t.job), t.title)
        for t in trainings
    ]

    def done(number: int, content: bytes, seconds: float) -> None:
        _keep_content(work, trainings[number].job, content, keep, seconds)

    train_side_by_side(orders, done, processes=processes, console=work.console)


def _train_there(
    work: Work,
    trainings: Sequence[Training],
    keep: Keep,
    answers: bytes | None,
    how: OnCluster,
) -> None:
    """Train all networks on the cluster, or continue them."""
    assert work.cluster is not None
    storage = Storage.at(work.cluster.choice.storage or work.path / "cluster")
    shared = {} if answers is None else {TEACHER: answers}
    for training in trainings:
        shared |= _start(training)
    run = _name_of(work.path)
    trials = [Trial(f"{run}-{t.name}-{t.job.digest}", t.title, t.job) for t in trainings]
    ended: list[Ended] = []
    # Values are tuned for one network after the other; else all networks are trials of one.
    for group in [[trial] for trial in trials] if how.tuning else [trials]:
        started = time.monotonic()
        found = run_trials(
            work.cluster,
            group,
            how.manner,
            storage=storage,
            shared=shared,
            console=work.console,
            tuning=how.tuning,
        )
        for each in _best(found) if how.tuning else found:
            ended.append(each)
            _keep_ended(work, each, keep, time.monotonic() - started)
        for each in found:
            if each.outcome == "done":
                (storage / each.name).delete()
    _say_failures(work, ended)


def _start(training: Training) -> dict[str, bytes]:
    """The weights that a network starts from, by the name that its job looks for."""
    weights = training.weights()
    return {} if weights is None else {training.job.architecture.id: weights}


def _steps(work: Work, job: NetworkJob) -> int:
    """How many a training takes."""
    recipe = job.recipe
    return max(1, len(work.context.data.train) // recipe.batch_size) * recipe.epochs


def _keep_ended(work: Work, ended: Ended, keep: Keep, seconds: float) -> None:
    """Keep a network that was trained on the cluster."""
    if ended.content is not None:
        job = ended.trial.job.changed(ended.values)
        _keep_content(work, job, ended.content, keep, seconds)


def _keep_content(work: Work, job: NetworkJob, content: bytes, keep: Keep, seconds: float) -> None:
    """Keep a network that was trained by another process."""
    tensors, description = from_bytes(content, f"of {job.architecture.id}")
    network = build_network(job.architecture, work.context.data.shape)
    network.load_state_dict(tensors)
    network.to(work.context.device)
    keep(job, network.eval(), description["curve"], seconds)


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
            f"{len(lost)} of {len(ended)} networks were not trained: {'; '.join(lost)}. The "
            "others are kept. Run the same command again to continue these from their checkpoints."
        )


def _name_of(run: Path) -> str:
    """A name that no other run has, for its checkpoints in a storage that runs share."""
    path = run / "cluster.json"
    if not path.exists():
        atomic_write_json(path, {"name": f"{run.name}-{uuid.uuid4().hex[:8]}"})
    return str(read_json(path)["name"])
