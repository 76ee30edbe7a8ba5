"""Children without retraining, beside the fine-tuned donor, at shares of its latency.

    python scripts/photographs_children.py --data folder:DIR --side 64 --seeds 3

The supernet of `photo-mobile` is trained from its donor. Of 120 random children and the largest,
the one with the least validation loss is taken within 100, 60, 45 and 35 % of the donor's latency.
Its test accuracy is given as it is, after four epochs alone with the labels, and after as many in
which it also learns from the supernet's largest child (`nas retrain --teacher largest`). That of
the donor, which is fine-tuned alone for as many epochs as the supernet, stands beside.

Latencies are measured first, on one thread of the processor, and kept in
`results/photographs/latencies-<side>px.json`: the least of several runs of one image, the networks
in turn. `--only-latencies` stops after that, so that another machine can do the rest.
"""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import numpy as np
import photographs_setup
import results_file
import torch
from kept_rows import Rows
from photographs_ranking import FINE_TUNING
from photographs_setup import Photographs

from nas.retrain.stored_teacher import StoredTeacher, read, write
from nas.retrain.trainer import retrain
from nas.settings import Settings
from search_spaces.architecture import Architecture
from search_spaces.network import Network, build_network

SHARES = (1.0, 0.6, 0.45, 0.35)
ROUNDS = 30


def main() -> None:
    """Train, choose, fine-tune, and write the table."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--children", type=int, default=120)
    parser.add_argument("--only-latencies", action="store_true")
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    times = _latencies(asked)
    if asked.only_latencies:
        return
    name = f"children-{asked.side}px-{asked.epochs}epochs"
    rows = Rows(results_file.RESULTS / "photographs" / f"{name}.jsonl", ("share",))
    for seed in photographs_setup.seeds(asked):
        if not rows.has(seed=seed):
            _seed(asked, seed, times, rows)
    columns = ("ms", "donor_ms", "donor", "child", "child_fine_tuned", "child_taught")
    table = [
        {"share": share, "seeds": len(group)}
        | {k: round(float(np.mean([r[k] for r in group])), 4) for k in columns}
        for (share,), group in rows.groups()
    ]
    results_file.write("photographs", name, {"rows": table}, each=rows.rows)


def _seed(asked: Any, seed: int, times: list[float], rows: Rows) -> None:
    context = _context(asked, seed)
    test, batches = context.dataset.open_test(), context.training_batches(seed)
    assert context.donor is not None and context.donor_architecture is not None
    side = context.donor_architecture.resolution
    donor = context.donor.network(side, context.data.shape, seed).to(context.device)
    retrain(donor, batches, _epochs(asked.epochs), seed=seed)
    supernet = context.trained()
    children = [context.child(supernet, each) for each in _candidates(context, asked.children)]
    losses = [context.judge(each, context.data.validation).loss for each in children]
    donor_ms, *children_ms = times
    donor_accuracy = context.judge(donor, test).accuracy
    recipe = _epochs(4)
    taught = _taught_by(context, children[0], batches, recipe)
    for share in SHARES:
        within = [i for i, ms in enumerate(children_ms) if ms <= share * donor_ms]
        if not within:
            print(f"no child within {share:.0%} of the donor's {donor_ms:.2f} ms")
            continue
        best = min(within, key=lambda i: losses[i])
        alone, pupil = copy.deepcopy(children[best]), copy.deepcopy(children[best])
        retrain(alone, batches, recipe, seed=seed)
        retrain(pupil, batches, recipe, seed=seed, supervision=taught)
        rows.add(
            {
                "share": share,
                "seed": seed,
                "ms": children_ms[best],
                "donor_ms": donor_ms,
                "donor": donor_accuracy,
                "child": context.judge(children[best], test).accuracy,
                "child_fine_tuned": context.judge(alone, test).accuracy,
                "child_taught": context.judge(pupil, test).accuracy,
            }
        )


def _taught_by(context: Photographs, teacher: Network, batches: Any, recipe: Any) -> StoredTeacher:
    """What a network says of the images of a training."""
    written = write(
        lambda images: teacher(images.to(context.device)),
        batches,
        resolution=teacher.architecture.resolution,
        batch_size=recipe.batch_size,
        steps=batches.steps_per_epoch(recipe.batch_size) * recipe.epochs,
        key="largest",
    )
    return StoredTeacher(read(written, "largest"))


def _context(asked: Any, seed: int) -> Photographs:
    settings = Settings(
        data=asked.data,
        space="photo-mobile",
        seed=seed,
        epochs=asked.epochs,
        recipe=photographs_setup.recipe(asked),
    )
    return Photographs(settings, asked.side)


def _candidates(context: Photographs, count: int) -> list[Architecture]:
    """The largest child and random ones, the same for every seed."""
    whole = context.whole_space
    codes = [whole.largest(), *whole.sample(count, np.random.default_rng(0))]
    return [whole.decode(code) for code in codes]


def _epochs(count: int) -> Any:
    return FINE_TUNING.model_copy(update={"epochs": count})


def _latencies(asked: Any) -> list[float]:
    """Milliseconds of the donor and of every candidate; measured once for a side."""
    path = results_file.RESULTS / "photographs" / f"latencies-{asked.side}px.json"
    if not path.exists():
        context = _context(asked, seed=0)
        assert context.donor_architecture is not None
        networks = [context.donor_architecture, *_candidates(context, asked.children)]
        times = _measured(context, networks)
        results_file.write("photographs", path.stem, {"ms": [round(t, 3) for t in times]})
    found: list[float] = json.loads(path.read_text())["figures"]["ms"]
    if len(found) != asked.children + 2:
        raise SystemExit(f"{path} is for other children; delete it, and they are measured again.")
    return found


@torch.inference_mode()
def _measured(context: Photographs, architectures: list[Architecture]) -> list[float]:
    """The least milliseconds of each for one image; they take turns."""
    shape = context.data.shape
    networks = [build_network(each, shape).eval() for each in architectures]
    images = [torch.randn(1, shape.channels, *2 * (each.resolution,)) for each in architectures]
    least = [float("inf")] * len(networks)
    for _ in range(ROUNDS):
        for i, (network, image) in enumerate(zip(networks, images, strict=True)):
            begun = time.perf_counter()
            network(image)
            least[i] = min(least[i], 1000 * (time.perf_counter() - begun))
    return least


if __name__ == "__main__":
    main()
