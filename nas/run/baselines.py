"""The stock networks of a run: chosen by the budget, trained on the same images.

baselines/chosen.json                       names and resolutions
baselines/<name>-<side>px/
    checkpoint.safetensors                  while it trains
    network.safetensors  result.json        trained weights; validation score and conditions
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from nas.baselines.choice import Growth, Stock, at_largest, candidates, choose, sides_for
from nas.baselines.latency import growth_of
from nas.baselines.model import STOCK_FILE, Model
from nas.baselines.result import StockResult
from nas.baselines.weights import weights_of
from nas.data import Normalisation
from nas.run.front import Front
from nas.run.jobs import shown
from nas.run.measure import MachineOf
from nas.run.retraining import asked_by, recipe_of
from nas.run.side_by_side import processes_for, train_side_by_side
from nas.run.stock_job import RESULT, StockJob
from nas.run.supernets import checkpoints_at
from nas.run.training_process import Order
from nas.run.work import Work
from nas.storage import atomic_write, atomic_write_json, read_json
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import CHECKPOINT


def stock_networks(work: Work, front: Front, machine_of: MachineOf | None) -> list[StockResult]:
    """Train the stock networks that the run compares with; those trained before are read.

    Each sees as many training images as the run's best network has: those of the supernet, and
    those of its training alone.

    Args:
        work: The run.
        front: Its measured front; the slowest member stands for a budget that was not given.
        machine_of: Finds the machine that measures the candidates on a target, in this process; by
            default a process of its own measures.
    """
    if not work.context.baselines:
        return []
    chosen, epochs = _chosen(work, front, machine_of), _epochs(work)
    if not work.folder.finished("baselines"):
        work.console.say(f"{', '.join(map(str, chosen))}: {epochs} epochs each")
    done = [(folder_of(work.path, stock) / "result.json").exists() for stock in chosen]
    _train(work, [stock for stock, kept in zip(chosen, done, strict=True) if not kept], epochs)
    return stock_results(work.path)


def stock_results(run: Path) -> list[StockResult]:
    """The results of a run's stock networks so far, in the order in which they were chosen."""
    file = run / "baselines" / "chosen.json"
    chosen = [Stock(**each) for each in read_json(file)["chosen"]] if file.exists() else []
    files = [folder_of(run, stock) / "result.json" for stock in chosen]
    return [StockResult.from_dict(read_json(file)) for file in files if file.exists()]


def timed_before(run: Path, result: StockResult) -> list[float | None]:
    """A stock network's latencies when it was chosen, one per target, between measured sizes."""
    timed = read_json(run / "baselines" / "chosen.json")["timed"][result.name]
    growth = Growth(tuple(timed["sides"]), tuple(tuple(pair) for pair in timed["ms"]))
    return growth.at(result.side)


def folder_of(run: Path, stock: Stock | StockResult) -> Path:
    """The folder of one stock network of a run."""
    return run / "baselines" / f"{stock.name}-{stock.side}px"


def stock_model(work: Work, result: StockResult) -> Model:
    """A trained stock network by its file."""
    folder = str(folder_of(work.path, result))
    return Model(result.side, work.context.data.shape, result.name, folder)


def normalisation_of(result: StockResult) -> Normalisation:
    """How the images of a stock network are normalised."""
    return Normalisation(result.mean, result.std, result.scale)


def _chosen(work: Work, front: Front, machine_of: MachineOf | None) -> list[Stock]:
    """Names and resolutions; chosen once, because measured latencies differ a little each time."""
    file, context = work.path / "baselines" / "chosen.json", work.context
    if file.exists():
        return [Stock(**each) for each in read_json(file)["chosen"]]
    asked, sides = context.baselines, sides_for(context.data.native_size)
    names = candidates() if asked == "auto" else list(asked)
    ends = " and ".join(str(side) for side in dict.fromkeys((sides[0], sides[-1])))
    work.console.say(f"timing {len(names)} stock networks at {ends} px")
    growth = growth_of(
        names, sides, context.targets, context.data.shape, machine_of, work.console,
        work.settings.confidence,
    )  # fmt: skip
    limits = _limits(front)
    if asked == "auto":
        pretrained = [name for name in names if weights_of(name) is not None]
        chosen = choose(growth, sides, limits, pretrained)
    else:
        chosen = [at_largest(name, growth, sides, limits[-1]) for name in names]
    document = {
        "chosen": [dataclasses.asdict(stock) for stock in chosen],
        "timed": {
            name: {"sides": found.sides, "ms": [list(map(_known, pair)) for pair in found.ms]}
            for name, found in growth.items()
        },
    }
    atomic_write_json(file, document)
    return chosen


def _known(ms: float | None) -> float | None:
    """JSON has no infinite numbers: what does not fit has no latency."""
    return None if ms is None or math.isinf(ms) else ms


def _limits(front: Front) -> list[tuple[float | None, ...]]:
    """The budget sets; without a limit, what the slowest member takes on each target."""
    slowest = tuple(
        max(member.latencies[target].ms for member in front.members)
        for target in range(len(front.members[0].latencies))
    )
    sets = front.budgets.budget_sets
    return [slowest if all(ms is None for ms in limits) else limits for limits in sets]


def _epochs(work: Work) -> int:
    """Passes over the images that the best network has had: the supernet's, and those alone."""
    s, context = work.settings, work.context
    if s.baseline_epochs is not None:
        return s.baseline_epochs
    alone = recipe_of(context, asked_by(s)).epochs if s.retrain_top else 0
    return alone if alone and s.from_scratch else context.recipe.epochs + alone


def _train(work: Work, waiting: Sequence[Stock], epochs: int) -> None:
    """Train networks and keep each as soon as it is done; several at once if that helps."""
    context = work.context
    jobs = [StockJob(work.settings, context.data.id, stock, epochs) for stock in waiting]
    processes = processes_for(len(jobs), context.device)
    if processes > 1:
        orders = [
            Order(job, {}, folder_of(work.path, job.stock), _steps(work, job), str(job.stock))
            for job in jobs
        ]
        train_side_by_side(
            orders,
            lambda number, content, _: _keep(work, jobs[number].stock, content),
            processes=processes,
            console=work.console,
        )
        return
    for job in jobs:
        path = folder_of(work.path, job.stock) / CHECKPOINT
        with work.console.task(f"training {job.stock}", _steps(work, job)) as advance:
            content = job.train(
                context,
                partial(checkpoints_at, path),
                shown(work.console, advance),
            )
        _keep(work, job.stock, content)
        path.unlink(missing_ok=True)


def _steps(work: Work, job: StockJob) -> int:
    """How many a training takes."""
    images = len(work.context.data.train)
    recipe = job.recipe(images)
    return max(1, images // recipe.batch_size) * recipe.epochs


def _keep(work: Work, stock: Stock, content: bytes) -> None:
    """Write a trained network and its result."""
    tensors, description = from_bytes(content, f"of {stock}")
    result, folder = StockResult.from_dict(description[RESULT]), folder_of(work.path, stock)
    atomic_write(folder / STOCK_FILE, to_bytes(tensors, {"name": str(stock)}))
    atomic_write_json(folder / "result.json", result.to_dict())
    start = "from scratch" if result.pretrained is None else f"from {result.pretrained}"
    work.console.say(
        f"{stock}, {start}: {result.validation.accuracy:.1%} of the validation images"
    )
