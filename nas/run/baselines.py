"""The stock networks of a run: chosen by the budget, trained on the same images.

baselines/chosen.json                       names and resolutions
baselines/<name>-<side>px/
    checkpoint.safetensors                  while it trains
    network.safetensors  result.json        trained weights; validation score and conditions
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from torch import nn

from nas.baselines.choice import Stock, at_largest, candidates, choose, sides_for
from nas.baselines.latency import growth_of
from nas.baselines.model import STOCK_FILE, Model
from nas.baselines.networks import build
from nas.baselines.result import StockResult
from nas.baselines.scoring import score
from nas.baselines.training import stock_recipe, train_stock
from nas.baselines.weights import Weights, weights_of
from nas.data import Normalisation
from nas.run.front import Front
from nas.run.measure import MachineOf
from nas.run.retraining import asked_by, recipe_of
from nas.run.supernets import checkpoints_at
from nas.run.work import Work
from nas.storage import atomic_write, atomic_write_json, read_json
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import TrainingProgress
from supernet.training.recipe import Recipe


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
        work.console.say("no stock networks to compare with (--baselines names some)")
        return []
    chosen, epochs = _chosen(work, front, machine_of), _epochs(work)
    if not work.folder.finished("baselines"):
        work.console.say(f"{', '.join(map(str, chosen))}: {epochs} epochs each")
    for stock in chosen:
        if not (folder_of(work.path, stock) / "result.json").exists():
            _train(work, stock, epochs)
    return stock_results(work.path)


def stock_results(run: Path) -> list[StockResult]:
    """The results of a run's stock networks so far, in the order in which they were chosen."""
    file = run / "baselines" / "chosen.json"
    chosen = [Stock(**each) for each in read_json(file)["chosen"]] if file.exists() else []
    files = [folder_of(run, stock) / "result.json" for stock in chosen]
    return [StockResult.from_dict(read_json(file)) for file in files if file.exists()]


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
    work.console.say(
        f"timing stock networks at {sides[0]} and {sides[-1]} px, {len(names)} in all"
    )
    growth = growth_of(names, sides, context.targets, context.data.shape, machine_of, work.console)
    limits = _limits(front)
    if asked == "auto":
        pretrained = [name for name in names if weights_of(name) is not None]
        chosen = choose(growth, sides, limits, pretrained)
    else:
        chosen = [at_largest(name, growth, sides, limits[-1]) for name in names]
    document = {
        "chosen": [dataclasses.asdict(stock) for stock in chosen],
        "timed": {name: dataclasses.asdict(found) for name, found in growth.items()},
    }
    atomic_write_json(file, document)
    return chosen


def _limits(front: Front) -> list[tuple[float | None, ...]]:
    """The budget sets; without a limit, what the slowest member takes on each target."""
    slowest = tuple(
        max(member.latencies[target].ms for member in front.members)
        for target in range(len(front.members[0].latencies))
    )
    sets = front.budgets.budget_sets
    return [slowest if all(ms is None for ms in limits) else limits for limits in sets]


def _epochs(work: Work) -> int:
    """Passes over the images: those of the supernet and of the training alone."""
    s, context = work.settings, work.context
    if s.baseline_epochs is not None:
        return s.baseline_epochs
    return context.recipe.epochs + (recipe_of(context, asked_by(s)).epochs if s.retrain_top else 0)


def _train(work: Work, stock: Stock, epochs: int) -> None:
    """Train one network, score it on the validation images and keep it."""
    context, folder, seed = work.context, folder_of(work.path, stock), work.settings.seed
    data, weights = context.data, weights_of(stock.name)
    normalisation = _normalisation(data.normalisation, weights)
    network = build(stock.name, stock.side, data.shape, seed, weights).to(context.device)
    params = sum(parameter.numel() for parameter in network.parameters())
    started = time.monotonic()
    _run(work, stock, network, stock_recipe(weights is not None, epochs, len(data.train)))
    evaluation = score(network, data.validation, normalisation, stock.side).evaluation
    result = StockResult(
        name=stock.name,
        side=stock.side,
        pretrained=None if weights is None else weights.source,
        mean=normalisation.mean,
        std=normalisation.std,
        scale=normalisation.scale,
        validation=evaluation,
        epochs=epochs,
        params=params,
        seconds=round(time.monotonic() - started, 1),
    )
    atomic_write(folder / STOCK_FILE, to_bytes(network.state_dict(), {"name": str(stock)}))
    atomic_write_json(folder / "result.json", result.to_dict())
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    start = "from scratch" if weights is None else f"from {weights.source}"
    work.console.say(f"{stock}, {start}: {evaluation.accuracy:.1%} of the validation images")


def _normalisation(usual: Normalisation, weights: Weights | None) -> Normalisation:
    """That of published weights, for colour pictures; else the data's."""
    if weights is None or usual.scale != 255 or len(usual.mean) != len(weights.mean):
        return usual
    return Normalisation(weights.mean, weights.std, usual.scale)


def _run(work: Work, stock: Stock, network: nn.Module, recipe: Recipe) -> None:
    """Train, or continue from the checkpoint."""
    seed, context = work.settings.seed, work.context
    weights = weights_of(stock.name)
    normalisation = _normalisation(context.data.normalisation, weights)
    batches = context.retraining_batches(seed, normalisation)
    key = f"{stock}, {recipe.model_dump_json()}, {seed=}, pretrained={weights is not None}"
    path = folder_of(work.path, stock) / "checkpoint.safetensors"
    steps = batches.steps_per_epoch(recipe.batch_size) * recipe.epochs
    with work.console.task(f"training {stock}", steps) as advance:

        def progress(now: TrainingProgress) -> None:
            advance(now.step, f"loss {now.loss:.3f}")

        train_stock(
            network,
            stock.side,
            batches,
            recipe,
            seed=seed,
            checkpoints=checkpoints_at(path, key),
            progress=progress,
        )
