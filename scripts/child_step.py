"""Time of a child's training step on shared weights, against the same subnet's alone.

    python scripts/child_step.py --space hybrid-cifar --children 6
    python scripts/child_step.py --device cuda --batch-size 256

A step is forward, backward, clipping, AdamW and the moving average, at 32 px; on a GPU under
autocast to bfloat16, as in training. The two take turns, so that both see the machine at the same
speed; the ratio is of medians per child. `launch_s` is the time that the host takes to launch a
step: if it is as long as the step, the GPU waits for the host.
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
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    space = load_space(arguments.space).restrict(32)
    rng = np.random.default_rng(arguments.seed)
    codes = [space.largest(), *space.sample(arguments.children - 1, rng)]
    images = torch.randn(arguments.batch_size, 3, 32, 32, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (arguments.batch_size,), device=device)
    rows = []
    for code in codes:
        child = space.decode(code)
        supernet = Supernet(space).to(device)
        subnet = supernet.extract(child).train()
        shared = _step(supernet, lambda x, s=supernet, c=child: s(x, c), images, labels)
        alone = _step(subnet, subnet, images, labels)
        times = [
            (*_timed(shared, device), *_timed(alone, device)) for _ in range(arguments.rounds + 2)
        ][2:]
        a, a_launch, b, b_launch = np.median(np.array(times), axis=0).tolist()
        row = {"id": child.id, "shared_s": a, "alone_s": b, "ratio": a / b}
        rows.append(row | {"shared_launch_s": a_launch, "alone_launch_s": b_launch})
        print(rows[-1], flush=True)
    ratios = [row["ratio"] for row in rows]
    figures = {"median_ratio": float(np.median(ratios)), "greatest_ratio": max(ratios)}
    where = f"{arguments.threads}threads" if device.type == "cpu" else device.type
    name = f"child-step-{arguments.space}-batch{arguments.batch_size}-{where}"
    results_file.write(
        "supernet", name, figures, machine=_machine(device), seed=arguments.seed, children=rows
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--children", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _machine(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"


def _step(
    model: torch.nn.Module, run: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
) -> Callable[[], None]:
    state = Optimisation(dict(model.named_parameters()), Recipe(), steps=1000)
    kind = images.device.type

    def step() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            scores = run(images)
        F.cross_entropy(scores.float(), labels).backward()
        state.step()

    return step


def _timed(step: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Seconds until a step is done, and until it is launched."""
    begin = time.perf_counter()
    step()
    launched = time.perf_counter() - begin
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, launched


if __name__ == "__main__":
    main()
