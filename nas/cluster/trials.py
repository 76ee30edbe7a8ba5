"""Several trainings at a time on a cluster, by Ray Tune: networks, or recipes of one network.

    Tune trial (no resources) -> Ray Train -> workers of one training

A trial that takes too long is ended, one whose worker crashes goes on from its checkpoint, and the
others are not held up. The same call continues trials whose driver died, and does not repeat those
that had ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nas.cluster.connection import Cluster, ray_module
from nas.cluster.mailbox import Watch, mailbox
from nas.cluster.resources import room
from nas.cluster.storage import Storage
from nas.cluster.training import in_thread, trainer_of
from nas.cluster.training_worker import FINISHED, Job, Orders
from nas.errors import ClusterError, in_short
from nas.progress import Progress
from supernet.training.loop import CHECKPOINT_SECONDS

Outcome = Literal["done", "over the limit", "failed", "stopped early"]
METRIC, TIME = "accuracy", "epoch"
"""What trials are compared by, and when."""
_LOOK_EVERY = 1.0
"""Seconds between two looks at the clock."""
_LOGARITHMIC = {"learning_rate", "weight_decay"}
_QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}


class Tunable(Protocol):
    """A job whose settings can be changed."""

    def changed(self, values: Mapping[str, float]) -> Job:
        """The same job with other values."""
        ...


@dataclass(frozen=True)
class Trial:
    """A training."""

    name: str
    """Of its folder in the storage; a trial of the same name is continued, so that jobs that train
    in different ways need different ones."""
    title: str
    """Where a person sees it."""
    job: Any
    """A `Job`; a `Tunable` one where values are tried."""


@dataclass(frozen=True)
class Manner:
    """How trials are run."""

    workers: int = 1
    """Of each trial."""
    limit_s: float | None = None
    """The longest time of a trial by the clock, since its workers last began: neither the wait for
    room nor what was lost with a crash counts."""
    retries: int = 2
    """Failures of its workers that a trial survives."""
    early: bool = False
    """Whether trials that are behind the others are stopped early (ASHA)."""
    checkpoint_s: float = CHECKPOINT_SECONDS
    """The shortest time between two checkpoints."""


@dataclass(frozen=True)
class Tuning:
    """Values to try."""

    ranges: Mapping[str, tuple[float, float]]
    trials: int
    seed: int = 0


@dataclass(frozen=True)
class Ended:
    """How a trial ended."""

    trial: Trial
    name: str
    """Of its folder in the storage."""
    outcome: Outcome
    content: bytes | None
    """Of the finished file, if it was done."""
    score: float
    """The last one; 0 if there was none."""
    values: Mapping[str, float]
    """The values that were tried."""
    failures: tuple[str, ...]
    """What went wrong, also if it was tried again with success."""


def run_trials(
    cluster: Cluster,
    trials: Sequence[Trial],
    manner: Manner,
    *,
    storage: Storage,
    shared: Mapping[str, Any],
    console: Progress,
    tuning: Tuning | None = None,
) -> list[Ended]:
    """Run trials, as many at a time as the cluster has room for; in their order.

    Args:
        cluster: Where to run them.
        trials: The trainings. With `tuning`, one training, which is tried with several values.
        manner: How each is run.
        storage: Where the checkpoints go.
        shared: Values that all workers can read, by name; sent once to each node.
        console: Shows progress and failures.
        tuning: Values to try; None for none.

    Raises:
        ClusterError: the cluster has no room for one trial.
        ClusterLostError: the cluster stopped answering.
    """
    ray = ray_module()
    at_a_time = _check_room(cluster, manner)
    titles = {trial.name: trial.title for trial in trials}
    with mailbox() as box, Watch(console, titles) as watch:
        refs = {name: ray.put(value) for name, value in shared.items()}
        runner = _Runner(
            {trial.name: trial for trial in trials}, manner, storage, box, refs, cluster
        )
        tuner = _tuner(runner, at_a_time, tuning)
        grid = in_thread(tuner.fit, lambda: watch.look(box, cluster))
        watch.look(box, cluster)
        return [runner.ended(result, watch) for result in grid]


class _Runner:
    """Runs a trial in its process, and reads in the driver how it ended."""

    def __init__(
        self,
        trials: Mapping[str, Trial],
        manner: Manner,
        storage: Storage,
        box: Any,
        refs: Mapping[str, Any],
        cluster: Cluster,
    ) -> None:
        self.trials, self.manner, self.storage = trials, manner, storage
        self._box, self._refs, self._choice = box, refs, cluster.choice

    def __call__(self, config: Mapping[str, Any]) -> None:
        """The trial: start the training, wait for it or for the limit, report."""
        from ray import tune
        from ray.tune.integration.ray_train import TuneReportCallback

        orders = self._orders(config)
        trainer = trainer_of(
            orders,
            self.storage,
            num_workers=self.manner.workers,
            each=self._choice.each,
            retries=self.manner.retries,
            callbacks=(TuneReportCallback(),),  # type: ignore[no-untyped-call]
        )
        tune.report(self._within_limit(trainer.fit, orders.name))

    def _within_limit(self, fit: Any, name: str) -> dict[str, Any]:
        """The last report of a trial."""
        box: dict[str, Any] = {}

        def target() -> None:
            try:
                box["result"] = fit()
            except Exception as error:
                box["why"] = in_short(error)

        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        told: dict[str, Any] = {METRIC: 0.0, TIME: 0.0}
        while thread.is_alive():
            thread.join(_LOOK_EVERY)
            if self._over_the_limit(name):
                self._end(name)
                return {**told, "ended": "over the limit"}
        if "why" in box:
            return {**told, "ended": "failed", "why": box["why"]}
        result = box["result"]
        return {**told, **result.metrics, "ended": "done", "finished": result.checkpoint.path}

    def _end(self, name: str) -> None:
        """End a training: who controls it, which would start it again, then its workers.

        Ray itself gives their room back only if its dashboard runs.
        """
        from ray.util import remove_placement_group

        ray = ray_module()
        controller = ray.get(self._box.held.remote(name, "controller"))
        if controller is not None:
            ray.kill(controller)
        room = ray.get(self._box.held.remote(name, "room"))
        if room is not None:
            remove_placement_group(room)

    def _over_the_limit(self, name: str) -> bool:
        limit, ray = self.manner.limit_s, ray_module()
        return limit is not None and ray.get(self._box.seconds.remote(name)) > limit

    def ended(self, result: Any, watch: Watch) -> Ended:
        """What Tune knows of a trial."""
        config, metrics = result.config, result.metrics or {}
        trial, name = self.trials[config["trial"]], self._name(config)
        failures = list(watch.failures.get(name, ()))
        if result.error:
            failures.append(in_short(result.error))
        outcome: Outcome = "failed" if result.error else metrics.get("ended", "stopped early")
        if outcome == "failed" and not failures:
            failures.append(metrics.get("why", "unknown reason"))
        content = None
        if outcome == "done":
            content = self.storage.read_at(f"{metrics['finished']}/{FINISHED}")
        score = float(metrics.get(METRIC, 0.0))
        return Ended(trial, name, outcome, content, score, _values(config), tuple(failures))

    def _orders(self, config: Mapping[str, Any]) -> Orders:
        job, values = self.trials[config["trial"]].job, _values(config)
        return Orders(
            self._name(config),
            job.changed(values) if values else job,
            self._box,
            self._refs,
            gpus=bool(self._choice.gpus),
            seconds=self.manner.checkpoint_s,
        )

    def _name(self, config: Mapping[str, Any]) -> str:
        """Of a trial with these values; equal values give equal names."""
        values = _values(config)
        if not values:
            return str(config["trial"])
        return f"{config['trial']}-{_digest(values)}"


def _tuner(runner: _Runner, at_a_time: int, tuning: Tuning | None) -> Any:
    """Ray's tuner; one whose driver died continues with the values that it had tried."""
    os.environ.update(_QUIET)
    from ray import tune

    runner_only = tune.with_parameters(_call, runner=runner)
    # Its workers do the computing. Tune refuses a trial that needs nothing: this is one byte.
    trainable = tune.with_resources(runner_only, {"CPU": 0, "memory": 1})
    names = list(runner.trials)
    ranges = dict(tuning.ranges) if tuning else {}
    asked = [tuning.trials, tuning.seed, runner.manner.early] if tuning else []
    name = f"trials-{_digest([names, ranges, *asked])}"
    folder = (runner.storage / name).url
    if tuning and tune.Tuner.can_restore(folder):
        return tune.Tuner.restore(folder, trainable, resume_errored=True)
    space: dict[str, Any] = {key: _domain(key, *ends) for key, ends in ranges.items()}
    space["trial"] = names[0] if tuning else tune.grid_search(names)
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=tuning.trials if tuning else 1,
            max_concurrent_trials=at_a_time,
            search_alg=_search(tuning) if tuning else None,
            scheduler=_asha() if runner.manner.early else None,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=runner.storage.url,
            failure_config=tune.FailureConfig(max_failures=1),
            verbose=0,
        ),
    )


def _call(config: Mapping[str, Any], runner: _Runner) -> None:
    runner(config)


def _check_room(cluster: Cluster, manner: Manner) -> int:
    """How many trials run at a time.

    Raises:
        ClusterError: the workers of one trial do not fit.
    """
    fits = min(cluster.workers, room(cluster.nodes(), cluster.choice.each))
    if fits < manner.workers:
        raise ClusterError(
            f"The cluster is too small: each network is to be trained by {manner.workers} "
            f"workers, and it has room for {fits}. Ask for fewer with --workers-per-network, or "
            "for smaller ones with --worker-cpus and --worker-gpus."
        )
    return fits // manner.workers


def _search(tuning: Tuning) -> Any:
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(metric=METRIC, mode="max", seed=tuning.seed)


def _asha() -> Any:
    from ray.tune.schedulers import ASHAScheduler

    return ASHAScheduler(time_attr=TIME, max_t=10**6, grace_period=2)


def _domain(name: str, low: float, high: float) -> Any:
    from ray import tune

    return tune.loguniform(low, high) if name in _LOGARITHMIC else tune.uniform(low, high)


def _values(config: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in config.items() if name != "trial"}


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
