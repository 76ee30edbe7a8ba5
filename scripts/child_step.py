"""A child's training step on the shared weights against the same subnet's on its own.

    python scripts/child_step.py --space hybrid-cifar --children 6

A step is forward, backward, clipping, AdamW and the moving average, batch 64 at 32 px. The two
take turns, so that both see the machine at the same speed; the ratio is of medians per child.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import results_file
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import load_space
from supernet import Supernet
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe


def main() -> None:
    """Measure each child both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--children", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    space = load_space(arguments.space).restrict(32)
    rng = np.random.default_rng(arguments.seed)
    codes = [space.largest(), *space.sample(arguments.children - 1, rng)]
    rows = []
    for code in codes:
        child = space.decode(code)
        supernet = Supernet(space)
        subnet = supernet.extract(child).train()
        images = torch.randn(arguments.batch_size, 3, 32, 32)
        labels = torch.randint(0, 10, (arguments.batch_size,))
        shared = _step(supernet, lambda x, s=supernet, c=child: s(x, c), images, labels)
        alone = _step(subnet, subnet, images, labels)
        times = [(_timed(shared), _timed(alone)) for _ in range(arguments.rounds + 2)][2:]
        a, b = np.median(np.array(times), axis=0)
        rows.append({"id": child.id, "shared_s": a, "alone_s": b, "ratio": a / b})
        print(rows[-1], flush=True)
    ratios = [row["ratio"] for row in rows]
    figures = {"median_ratio": float(np.median(ratios)), "greatest_ratio": max(ratios)}
    name = f"child-step-{arguments.space}-batch{arguments.batch_size}-{arguments.threads}threads"
    results_file.write("supernet", name, figures, seed=arguments.seed, children=rows)


def _step(
    model: torch.nn.Module, run: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
) -> Callable[[], None]:
    state = Optimisation(dict(model.named_parameters()), Recipe(), steps=1000)

    def step() -> None:
        F.cross_entropy(run(images), labels).backward()
        state.step()

    return step


def _timed(step: Callable[[], None]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
