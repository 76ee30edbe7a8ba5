"""One training on the workers of a cluster, by Ray Train.

    content = train_on(cluster, job, name="supernet-3f2a", storage=Storage.at("/mnt/shared/nas"))

A worker that dies takes the others with it; they all start again from the last checkpoint, with
fewer workers if the cluster has shrunk. The same call continues a training whose driver died.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.cluster.connection import Cluster, ray_module
from nas.cluster.mailbox import Watch, mailbox
from nas.cluster.storage import Storage
from nas.cluster.training_worker import FINISHED, Job, Orders, work
from nas.errors import TrialError, in_short
from nas.progress import Progress
from supernet.training.loop import CHECKPOINT_SECONDS

RETRIES = 3
"""Failures of workers that a training survives. Preempted nodes do not count."""


def train_on(
    cluster: Cluster,
    job: Job,
    *,
    name: str,
    title: str,
    storage: Storage,
    console: Progress,
    apart: bool = False,
    retries: int = RETRIES,
    seconds: float = CHECKPOINT_SECONDS,
) -> bytes:
    """Train on all workers that were asked for; returns the content of the finished file.

    Args:
        cluster: Where to train.
        job: What each worker does.
        name: Of the training; one of the same name in this storage is continued.
        title: What it is called where a person sees it.
        storage: Where the checkpoints go.
        console: Shows progress, the number of workers, and failures.
        apart: Whether each worker runs children of its own.
        retries: Failures of workers to survive.
        seconds: The shortest time between two checkpoints.

    Raises:
        TrialError: it failed more often than `retries`.
        ClusterLostError: the cluster stopped answering.
    """
    with mailbox() as box, Watch(console, {name: title}) as watch:
        trainer = trainer_of(
            Orders(name, job, box, {}, bool(cluster.choice.gpus), apart, seconds),
            storage,
            num_workers=_group(cluster, apart),
            each=cluster.choice.each,
            retries=retries,
        )
        result = in_thread(trainer.fit, lambda: watch.look(box, cluster))
    with result.checkpoint.as_directory() as folder:
        content = (Path(folder) / FINISHED).read_bytes()
    (storage / name).delete()
    return content


def trainer_of(
    orders: Orders,
    storage: Storage,
    *,
    num_workers: int | tuple[int, int],
    each: Mapping[str, float],
    retries: int,
    callbacks: tuple[Any, ...] = (),
) -> Any:
    """Ray's trainer; one of the same name and storage continues from its checkpoints."""
    from ray import train
    from ray.train.torch import TorchTrainer

    return TorchTrainer(
        work,
        train_loop_config={"orders": orders},
        scaling_config=train.ScalingConfig(
            num_workers=num_workers,  # type: ignore[arg-type]  # typed for the older version
            use_gpu="GPU" in each,
            resources_per_worker=dict(each),
        ),
        run_config=train.RunConfig(
            name=orders.name,
            storage_path=storage.url,
            failure_config=train.FailureConfig(max_failures=retries),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            callbacks=[told_to(orders), *callbacks],
        ),
    )


def told_to(orders: Orders) -> Any:
    """Tells the driver about workers that failed, and who controls them."""
    from ray.train import UserCallback

    class Told(UserCallback):
        known = False

        def after_report(self, run_context: Any, metrics: Any, checkpoint: Any) -> None:
            if not self.known:
                controller = ray_module().get_runtime_context().current_actor
                orders.mailbox.put.remote((orders.name, "controller", controller))
            self.known = True

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Any]) -> None:
            told = {rank: in_short(error) for rank, error in worker_exceptions.items()}
            orders.mailbox.put.remote((orders.name, "failure", told))

    return Told()


def in_thread(run: Callable[[], Any], meanwhile: Callable[[], None]) -> Any:
    """The result of `run`, which has a thread of its own.

    Ray takes over Ctrl-C where it runs in the main thread, and then goes on; here it stays ours.

    Raises:
        TrialError: the training failed for good.
    """
    box: dict[str, Any] = {}

    def target() -> None:
        try:
            box["result"] = run()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=0.5)
        meanwhile()
    if "error" in box:
        raise TrialError(f"The training failed for good: {in_short(box['error'])}")
    return box["result"]


def _group(cluster: Cluster, apart: bool) -> int | tuple[int, int]:
    """How many workers; a range where the result does not depend on the number."""
    fewest, most = cluster.choice.needed, cluster.workers
    return most if apart or fewest >= most else (fewest, most)
