"""Children without retraining, beside the fine-tuned donor, at shares of its latency.

    python scripts/photographs_children.py --data folder:DIR --side 64 --seeds 3

The supernet of `photo-mobile` is trained from its donor. Of 40 random children and the largest,
the one with the least validation loss is taken within 100, 60, 45 and 35 % of the donor's latency.
Its test accuracy is given as it is and after four epochs alone, beside that of the donor, which is
fine-tuned alone for as many epochs as the supernet. Latencies are the least of several runs of one
image on one thread, the networks in turn.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import photographs_setup
import results_file
import torch
from photographs_ranking import FINE_TUNING
from photographs_setup import Photographs, Rows

from nas.retrain.trainer import retrain
from nas.settings import Settings
from search_spaces.network import Network

SHARES = (1.0, 0.6, 0.45, 0.35)
ROUNDS = 40


def main() -> None:
    """Train, choose, fine-tune, and write the table."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--children", type=int, default=40)
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    name = f"children-{asked.side}px-{asked.epochs}epochs"
    rows = Rows(results_file.RESULTS / "photographs" / f"{name}.jsonl", ("share",))
    for seed in range(asked.seeds):
        if not rows.has(seed=seed):
            _seed(asked, seed, rows)
    columns = ("ms", "donor_ms", "donor", "child", "child_fine_tuned")
    table = [
        {"share": share, "seeds": len(group)}
        | {k: round(float(np.mean([r[k] for r in group])), 4) for k in columns}
        for (share,), group in rows.groups()
    ]
    results_file.write("photographs", name, {"rows": table}, each=rows.rows)


def _seed(asked: Any, seed: int, rows: Rows) -> None:
    settings = Settings(data=asked.data, space="photo-mobile", seed=seed, epochs=asked.epochs)
    context = Photographs(settings, asked.side)
    test, batches = context.dataset.open_test(), context.training_batches(seed)
    assert context.donor is not None and context.donor_architecture is not None
    side = context.donor_architecture.resolution
    donor = context.donor.network(side, context.data.shape, seed)
    retrain(donor, batches, _epochs(asked.epochs), seed=seed)
    supernet = context.trained(context.supernet())
    whole = context.whole_space
    codes = [whole.largest(), *whole.sample(asked.children, np.random.default_rng(seed))]
    children = [context.child(supernet, whole.decode(code)) for code in codes]
    losses = [context.judge(each, context.data.validation).loss for each in children]
    donor_ms, *times = _latencies([donor, *children])
    donor_accuracy = context.judge(donor, test).accuracy
    for share in SHARES:
        within = [i for i, ms in enumerate(times) if ms <= share * donor_ms]
        if not within:
            print(f"no child within {share:.0%} of the donor's {donor_ms:.2f} ms")
            continue
        best = min(within, key=lambda i: losses[i])
        alone = copy.deepcopy(children[best])
        retrain(alone, batches, _epochs(4), seed=seed)
        rows.add(
            {
                "share": share,
                "seed": seed,
                "ms": times[best],
                "donor_ms": donor_ms,
                "donor": donor_accuracy,
                "child": context.judge(children[best], test).accuracy,
                "child_fine_tuned": context.judge(alone, test).accuracy,
            }
        )


def _epochs(count: int) -> Any:
    return FINE_TUNING.model_copy(update={"epochs": count})


@torch.inference_mode()
def _latencies(networks: list[Network]) -> list[float]:
    """The least milliseconds of each for one image; they take turns."""
    images = [
        torch.randn(1, network.data_shape.channels, *2 * (network.architecture.resolution,))
        for network in networks
    ]
    least = [float("inf")] * len(networks)
    for _ in range(ROUNDS):
        for i, (network, image) in enumerate(zip(networks, images, strict=True)):
            begun = time.perf_counter()
            network.eval()(image)
            least[i] = min(least[i], 1000 * (time.perf_counter() - begun))
    return least


if __name__ == "__main__":
    main()
