"""Every mixer on a GPU: compared with the processor, with half precisions, and with timm.

    python scripts/mixers_on_gpu.py
    python scripts/mixers_on_gpu.py --device cpu --most 2 --batch-size 2    a trial

    agreement   each family with all its options, on maps of 7x9 and 14x14, channels-last:
                float32 against the processor's float32 (TF32 off), outputs and gradients;
                bfloat16, float16 and autocast against float32 on the same device
    speed       bfloat16, milliseconds of our module over those of timm's counterpart, with the
                kernels launched one by one (eager) and as one CUDA graph

An error is the largest difference over the largest value; for the half precisions it is the root
mean square of the difference over that of the values.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import clocks
import numpy as np
import results_file
import torch
from mixer_pairs import Run, pairs
from torch import Tensor, nn

from nas.latency.timing.gpu import Clock
from search_spaces.family import CHANNEL_MIXERS, MIXERS, Family, Options

WIDTH, SIZES = 48, ((7, 9), (14, 14))
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
ALLOWED = {"fp32": 1e-4, "gradient": 1e-3, "bf16": 5e-2, "fp16": 1e-2, "autocast": 5e-2}
"""Errors above these are named in the summary."""
RUNS = 20
Row = dict[str, Any]
Call = Callable[[], object]


def main() -> None:
    """Compare, then time."""
    arguments = _arguments()
    clock = clocks.of(arguments.device)
    rows: list[Row] = []
    with clock.ready(tf32=False):
        torch.backends.cudnn.benchmark = False  # it would search for each of hundreds of shapes
        for family in (*MIXERS, *CHANNEL_MIXERS):
            rows += _agreement(family, clock.device, arguments.most)
    _write(clock, rows, [])
    with clock.ready(tf32=False):
        speeds = [*_speeds(clock, arguments.batch_size)]
    _write(clock, rows, speeds)


def _write(clock: Clock, rows: list[Row], speeds: list[Row]) -> None:
    families: dict[str, Row] = {}
    for row in rows:
        worst = families.setdefault(row["family"], {"rows": 0})
        worst["rows"] += 1
        for name in ALLOWED:
            worst[name] = max(worst.get(name, 0.0), row.get(name, 0.0))
    beyond = [row for row in rows if any(not row.get(n, 0.0) <= a for n, a in ALLOWED.items())]
    figures = {
        "largest_errors": {
            name: " ".join(f"{key} {value:.1e}" for key, value in worst.items() if key != "rows")
            for name, worst in families.items()
        },
        "rows": len(rows),
        "failed": [row for row in rows if "error" in row][:6],
        "beyond_what_is_allowed": len(beyond),
        "the_first_beyond": beyond[:6],
        "not_channels_last": sum(not row.get("channels_last", True) for row in rows),
        "ours_over_timms": {
            row["what"]: f"eager {row['eager_ratio']:.2f}, graph {row['graph_ratio']:.2f}"
            f" ({row['graph_ms']:.4f} ms)"
            for row in speeds
            if "error" not in row
        },
        "speeds_failed": [row for row in speeds if "error" in row],
    }
    more = {"gpu": clock.facts(), "agreement": rows, "speed": speeds}
    results_file.write("latency", "gpu-mixers", figures, **more)


def _agreement(family: Family, device: torch.device, most: int) -> Iterator[Row]:
    every = list(family.every_options())
    for options in every[:: -(-len(every) // most)]:
        for size in SIZES:
            row: Row = {"family": family.name, "options": str(options), "size": size}
            try:
                row |= _errors(family, options, size, device)
            except Exception as error:  # whatever CUDA raises; the others come next
                row["error"] = f"{type(error).__name__}: {error}"[:300]
            yield row


def _errors(family: Family, options: Options, size: tuple[int, int], device: torch.device) -> Row:
    module = _random(family.module(WIDTH, options))
    x = torch.randn(4, WIDTH, *size).contiguous(memory_format=torch.channels_last)
    expected, slope = _outputs(module, x)
    there = copy.deepcopy(module).to(device)
    on = x.to(device)
    found, slope_there = _outputs(there, on)
    row: Row = {
        "fp32": _largest(found.cpu(), expected),
        "gradient": _largest(slope_there.cpu(), slope),
        "channels_last": found.stride(1) == 1,
    }
    with torch.inference_mode():
        for name, dtype in HALVES.items():
            half = copy.deepcopy(module).to(device=device, dtype=dtype)(on.to(dtype))
            assert half.dtype == dtype
            row[name] = _typical(half.float(), found)
            row["channels_last"] &= half.stride(1) == 1
        with torch.autocast(device.type, torch.bfloat16):
            row["autocast"] = _typical(there(on).float(), found)
    return row


def _outputs(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What it makes of images, and the gradient of a sum of it for the images."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    (slope,) = torch.autograd.grad((y * y).mean(), x)
    return y.detach(), slope


def _random(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=0.5 if parameter.ndim == 1 else 0.0, std=0.2)
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    return module.eval()


def _largest(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _typical(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def _speeds(clock: Clock, batch: int) -> Iterator[Row]:
    for pair in pairs(batch):
        what = f"{pair.family}, {pair.conditions}"
        try:
            yield {"what": what, **_compared(pair.own, pair.theirs, clock)}
        except Exception as error:
            yield {"what": what, "error": f"{type(error).__name__}: {error}"[:300]}


@torch.inference_mode()
def _compared(own: Run, theirs: Run, clock: Clock) -> Row:
    row: Row = {}
    calls: list[Call] = []
    for one in (own, theirs):
        one.module.to(device=clock.device, dtype=torch.bfloat16).eval()
        calls.append(one._replace(x=one.x.to(clock.device, torch.bfloat16)).call())
    for how in ("eager", "graph"):
        runs = [partial(_repeated, call) for call in calls]
        if how == "graph":
            runs = [clock.captured(run) for run in runs]
        for run in runs:
            run()
        # They take turns, so that both see the same clocks.
        times = np.array([[clock.ms(run) / RUNS for run in runs] for _ in range(15)])
        ours, timms = np.median(times, axis=0).tolist()
        row |= {f"{how}_ms": ours, f"timm_{how}_ms": timms, f"{how}_ratio": ours / timms}
    return row


def _repeated(call: Call) -> None:
    for _ in range(RUNS):
        call()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda or, to try it out, cpu")
    parser.add_argument(
        "--most", type=int, default=1000, help="of a family's options, evenly spread"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="of the timed modules")
    return parser.parse_args()


if __name__ == "__main__":
    main()
