"""Trains a supernet of photographs on the GPU in a given time: its speed, and how well it ranks.

    python scripts/supernet_on_gpu.py --data cifar10:DIR --minutes 4
    python scripts/supernet_on_gpu.py --data digits --space hybrid-tiny --minutes 0.5 --children 4

1  the number of images per second that the processor prepares, at several batch sizes
2  a few steps of training, timed and profiled: the time that the GPU is busy, the longest kernels
3  as many epochs as fit, with the curve of the largest, the smallest and random children
4  random children on the validation images: rank correlation of their accuracy with MACs and
   parameters
5  if time is left: some of these children trained alone, from scratch, and the correlation of
   their accuracies with the supernet's
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import results_file
import torch
from scipy.stats import kendalltau, spearmanr

from nas.data.batches import Batch, TrainBatches
from nas.latency import cost_of
from nas.retrain import fresh_network, retrain, score_validation
from nas.run.context import Context
from nas.run.evaluator import EvaluationImages
from nas.settings import Settings
from search_spaces import Architecture
from supernet.method import Setup
from supernet.sampling import Sampler
from supernet.supernet import Supernet
from supernet.supervision import Supervision
from supernet.training.loop import TrainingProgress
from supernet.training.recipe import Recipe
from supernet.training.train import train

TRIED_STEPS, PROFILED_STEPS = 40, 2
FOLLOWED, JUDGES = 3, 2000
"""Numbers of random children and of validation images for the curve."""
RESERVE = 4.0
"""Seconds kept free for writing."""
Document = dict[str, Any]


class Clocked:
    """Training images, with the time that they took to prepare; epochs can be shortened."""

    def __init__(self, batches: TrainBatches, steps: int | None = None) -> None:
        self._batches, self._steps = batches, steps
        self.seconds, self.images = 0.0, 0

    def steps_per_epoch(self, batch_size: int) -> int:
        """The given number of steps, if any."""
        return self._steps or self._batches.steps_per_epoch(batch_size)

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """The batch of a step."""
        begin = time.perf_counter()
        batch = self._batches.batch(step, batch_size, resolution)
        self.seconds += time.perf_counter() - begin
        self.images += len(batch.images)
        return batch


class Run:
    """One run of this script: its arguments, its results so far, and its remaining time."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.ends = time.monotonic() + 60 * arguments.minutes
        self.context = Context(Settings(space=arguments.space, data=arguments.data))
        self.recipe = Recipe(
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            ema_decay=0.99,
            epochs=1,
        )
        self.device = self.context.device
        self.document: Document = {"device": _name(self.device), "seconds": {}}
        self.figures: dict[str, Any] = {}

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic() - RESERVE

    def write(self) -> None:
        """Write the results so far."""
        self.document["left_s"] = self.left
        name = f"gpu-{self.arguments.space}"
        results_file.write("supernet", name, self.figures, **self.document)


def main() -> None:
    """Take the steps in order; the results so far are written after each."""
    run = Run(_arguments())
    torch.set_num_threads(min(8, torch.get_num_threads()))
    space, data = run.context.whole_space, run.context.data
    print(f"{data.name}: {len(data.train)} + {len(data.validation)} images", flush=True)
    _images_per_second(run)
    supernet = Supernet(space, data.shape).to(run.device)
    seconds_per_step = _tried(run, supernet)
    run.write()
    supernet = _trained(run, supernet, seconds_per_step)
    run.write()
    codes = space.sample(run.arguments.children, np.random.default_rng(1))
    children = _evaluated(run, supernet, [space.decode(code) for code in codes])
    run.write()
    _trained_alone(run, children)
    run.write()


def _images_per_second(run: Run) -> None:
    batches = run.context.training_batches(0)
    space = run.context.whole_space
    side = space.decode(space.largest()).resolution
    rates = {}
    for size in (128, run.recipe.batch_size):
        batches.batch(0, size, side)
        begin, steps = time.perf_counter(), 8
        for step in range(steps):
            batches.batch(step, size, side)
        rates[f"batch {size}"] = round(steps * size / (time.perf_counter() - begin))
    run.figures["images_made_ready_per_s"] = rates


def _tried(run: Run, supernet: Supernet) -> float:
    """Seconds that a step takes; the weights are left as they were."""
    begin = time.monotonic()
    start = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    batches = run.context.training_batches(0)
    _steps(run, supernet, Clocked(batches, run.arguments.tried_steps // 2))
    first = time.monotonic() - begin  # parts are built and kernels loaded when first used
    clocked = Clocked(batches, run.arguments.tried_steps)
    middle = time.monotonic()
    times = _steps(run, supernet, clocked)
    all_of = time.monotonic() - middle
    step = float(np.median(times))
    run.figures |= {
        "step_ms": 1e3 * step,
        "images_per_s": run.recipe.batch_size / step,
        "share_of_time_making_images_ready": clocked.seconds / all_of,
    }
    try:
        run.figures |= _profiled(run, supernet, step)
    except Exception as error:  # any error of the profiler; training goes on without it
        run.figures["profile"] = f"{type(error).__name__}: {error}"[:300]
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            parameter.copy_(start[name])
    run.document["seconds"] |= {"first steps": first, "tried": time.monotonic() - begin}
    run.document["step_times_s"] = times
    return all_of / len(times)


def _steps(run: Run, supernet: Supernet, data: Clocked) -> list[float]:
    """Train for one epoch of such data; seconds of each step."""
    stamps = [time.perf_counter()]

    def progress(now: TrainingProgress) -> None:
        stamps.append(time.perf_counter())

    train(supernet, data, run.recipe, *_methods(run, supernet), progress=progress)
    return np.diff(stamps).tolist()


def _methods(run: Run, supernet: Supernet) -> tuple[Sampler, Supervision]:
    """The sampler and the supervision that the settings name."""
    setup = Setup(supernet, lambda codes: np.zeros(len(codes)))
    chosen = run.context.training
    return chosen.sampler.make(setup), chosen.supervision.make(setup)


def _profiled(run: Run, supernet: Supernet, step: float) -> dict[str, Any]:
    """The time that the GPU is busy in a step, and its longest kernels."""
    if run.device.type != "cuda":
        return {}
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        _steps(run, supernet, Clocked(run.context.training_batches(0), PROFILED_STEPS))
        torch.cuda.synchronize()
    kernels: dict[str, list[float]] = {}
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            kernels.setdefault(event.name, []).append(event.device_time / 1e6)
    busy = sum(map(sum, kernels.values())) / PROFILED_STEPS
    longest = sorted(kernels.items(), key=lambda item: -sum(item[1]))
    return {
        "gpu_busy_ms_per_step": 1e3 * busy,
        "gpu_busy_share": busy / step,
        "kernels_per_step": sum(map(len, kernels.values())) / PROFILED_STEPS,
        "longest_kernels": {
            name[
                :80
            ]: f"{len(times) // PROFILED_STEPS} x, {1e3 * sum(times) / PROFILED_STEPS:.2f} ms"
            for name, times in longest[:10]
        },
    }


def _trained(run: Run, supernet: Supernet, seconds_per_step: float) -> Supernet:
    context, space = run.context, run.context.whole_space
    batches = Clocked(context.training_batches(0))
    judges = EvaluationImages(context.data, JUDGES)
    followed = {
        "largest": [space.decode(space.largest())],
        "smallest": [space.decode(space.smallest())],
        "random": [space.decode(c) for c in space.sample(FOLLOWED, np.random.default_rng(0))],
    }

    def validate(net: Supernet) -> Mapping[str, float]:
        found = {
            name: float(np.mean([judges.evaluate(net, child).accuracy for child in children]))
            for name, children in followed.items()
        }
        print({name: round(value, 4) for name, value in found.items()}, flush=True)
        return found

    begin = time.monotonic()
    validate(supernet)
    validating = time.monotonic() - begin
    steps = batches.steps_per_epoch(run.recipe.batch_size)
    time_for_it = run.left * run.arguments.training_share
    epochs = int(time_for_it / (steps * seconds_per_step * 1.05 + validating))
    recipe = run.recipe.model_copy(update={"epochs": max(1, epochs)})
    print(f"{recipe.epochs} epochs of {steps} steps, a validation takes {validating:.1f} s")
    run.document["recipe"] = recipe.model_dump()
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begin = time.monotonic()
    curve = train(supernet, batches, recipe, *_methods(run, supernet), validate=validate)
    took = time.monotonic() - begin
    run.document["curve"] = curve
    run.document["seconds"] |= {"training": took, "making images ready": batches.seconds}
    run.document["seconds"]["a validation"] = validating
    run.figures |= {"epochs": recipe.epochs, "training_s": took, "at_the_end": curve[-1]}
    if run.device.type == "cuda":
        run.figures["peak_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        run.figures["peak_reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
    return supernet


def _evaluated(run: Run, supernet: Supernet, children: list[Architecture]) -> list[Document]:
    """Each child's accuracy and size, and their rank correlation."""
    begin, rows = time.monotonic(), []
    for child in children:
        found = run.context.evaluation_images.evaluate(supernet, child)
        cost = cost_of(child, supernet.data_shape)
        row: Document = {"id": child.id, "accuracy": found.accuracy, "loss": found.loss}
        rows.append(row | {"macs": cost.macs, "params": cost.params, "child": child})
        if run.left < 0:
            break
    per_child = (time.monotonic() - begin) / len(rows)
    accuracies = [row["accuracy"] for row in rows]
    run.figures |= {
        "children": len(rows),
        "seconds_per_child": per_child,
        "accuracy_of_children": [min(accuracies), float(np.median(accuracies)), max(accuracies)],
    }
    for other in ("macs", "params"):
        run.figures[f"accuracy and {other}"] = _order(accuracies, [row[other] for row in rows])
    run.document["children"] = [{k: v for k, v in row.items() if k != "child"} for row in rows]
    return rows


def _order(a: list[float], b: list[float]) -> dict[str, float]:
    return {"kendall": kendalltau(a, b).statistic, "spearman": spearmanr(a, b).statistic}


def _trained_alone(run: Run, rows: list[Document]) -> None:
    """Train children alone for equal epochs, evenly chosen by their accuracy in the supernet."""
    data, batches = run.context.data, run.context.training_batches(1)
    by_accuracy = sorted(rows, key=lambda row: row["accuracy"])
    places = np.linspace(0, len(rows) - 1, run.arguments.alone).round().astype(int)
    chosen = [by_accuracy[i] for i in dict.fromkeys(places)]
    recipe = run.recipe.model_copy(update={"epochs": 1, "learning_rate": 4e-3})
    steps = batches.steps_per_epoch(recipe.batch_size)
    found: list[Document] = []
    for row in chosen:
        begin = time.monotonic()
        if not found:  # the first one says how many epochs there is time for
            tried = fresh_network(row["child"], data.shape, 0)
            tried.to(run.device)
            few = Clocked(batches, min(steps, 20))
            retrain(tried, few, recipe)
            epoch = (time.monotonic() - begin) / few.steps_per_epoch(1) * steps
            epochs = int(run.left / len(chosen) / (1.3 * epoch))
            if epochs < 2:
                print(f"{run.left:.0f} s left: too little to train children alone")
                return
            recipe = recipe.model_copy(update={"epochs": epochs})
        network = fresh_network(row["child"], data.shape, 0)
        network.to(run.device)
        retrain(network, batches, recipe)
        alone = score_validation(network, data).accuracy
        found.append({"id": row["id"], "alone": alone, "shared": row["accuracy"]})
        print(found[-1], round(time.monotonic() - begin, 1), "s", flush=True)
        run.document["alone"] = {"epochs": recipe.epochs, "children": found}
        if len(found) > 2:
            pairs = [[one[name] for one in found] for name in ("alone", "shared")]
            run.figures["shared and alone"] = {"children": len(found), **_order(*pairs)}
            run.figures["epochs_alone"] = recipe.epochs
        if run.left < 1.2 * (time.monotonic() - begin):
            break


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--minutes", type=float, default=4.0, help="in all")
    parser.add_argument("--training-share", type=float, default=0.8, help="of what is left then")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--children", type=int, default=40)
    parser.add_argument("--alone", type=int, default=6, help="children that are trained alone")
    parser.add_argument("--tried-steps", type=int, default=TRIED_STEPS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
