"""Networks measured in a process that has trained, beside a clean process.

    python scripts/clean_process.py --networks 6 --rounds 25

Processes of several pasts live at the same time and take turns with every network, so that the
machine's speed is the same for all: a clean one twice (their difference is the machine's noise),
one that has imported the training but not trained, one that has trained.

    python scripts/clean_process.py --finalists 20

Trains in this process, then predicts and measures 20 networks as `nas search` does: the share
within their 90 % intervals, measured apart and in this process, beside the noise of repeating.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from results_file import write

from nas.latency import Effort, Target, measure_finalists, predictor_for
from nas.latency.timing.machine import quiet
from nas.latency.timing.machines import machine_of
from nas.progress import Silent
from nas.run.context import Context
from nas.run.supernets import supernet_of
from nas.settings import Settings
from search_spaces import Architecture, build_network

PASTS = ("clean", "clean again", "imported", "trained")
EPOCHS = 3
PASSES = 7


def trained() -> object:
    """Train a supernet for about `EPOCHS` epochs, with a cache of its own."""
    usual = os.environ.get("NAS_CACHE_DIR")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NAS_CACHE_DIR"] = cache
        found = supernet_of(Context(Settings(data="digits", epochs=EPOCHS)), Silent())
    del os.environ["NAS_CACHE_DIR"]
    os.environ.update({} if usual is None else {"NAS_CACHE_DIR": usual})
    return found


def drawn(context: Context, n: int) -> list[Architecture]:
    """Random architectures of the space."""
    codes = context.space.sample(n, np.random.default_rng(5))
    return [context.space.decode(code) for code in codes]


def taking_turns(past: str, arguments: argparse.Namespace) -> None:
    """The process of one past: times one network for each line that it reads."""
    context = Context(Settings(data="digits"))
    kept = trained() if past == "trained" else None
    architectures = drawn(context, arguments.networks)
    networks = [build_network(each, context.data.shape).eval() for each in architectures]
    rng = np.random.default_rng(0)
    print("ready", flush=True)
    with quiet(arguments.threads):
        for line in sys.stdin:
            network, side = networks[int(line)], architectures[int(line)].resolution
            shape = (1, context.data.shape.channels, side, side)
            images = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
            images = images.contiguous(memory_format=torch.channels_last)
            network(images)
            took = []
            for _ in range(PASSES):
                begin = time.perf_counter_ns()
                network(images)
                took.append((time.perf_counter_ns() - begin) / 1e6)
            print(json.dumps(sorted(took)[1]), flush=True)
    del kept


def pairs(arguments: argparse.Namespace) -> dict[str, Any]:
    """How much slower each past is, network by network."""
    command = [sys.executable, __file__, *sys.argv[1:]]
    processes = [
        subprocess.Popen([*command, "--past", past], stdin=-1, stdout=-1, text=True)
        for past in PASTS
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    ms = np.zeros((arguments.rounds, arguments.networks, len(PASTS)))
    rng = np.random.default_rng(1)
    for place in itertools.product(range(arguments.rounds), range(arguments.networks)):
        for number in rng.permutation(len(PASTS)):
            process = processes[number]
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{place[1]}\n")
            process.stdin.flush()
            ms[(*place, number)] = float(process.stdout.readline())
    for process in processes:
        process.communicate()
    slower = np.median(ms / ms[:, :, :1], axis=0)
    return {
        "threads": arguments.threads,
        "clean_ms": np.median(ms[:, :, 0], axis=0).round(3).tolist(),
        "times_as_long": {
            past: {"mean": round(float(of.mean()), 3), "networks": of.round(3).tolist()}
            for past, of in zip(PASTS, slower.T, strict=True)
        },
    }


def finalists(arguments: argparse.Namespace) -> dict[str, Any]:
    """Finalists measured after a training in the same command, apart and in this process."""
    context = Context(Settings(data="digits"))
    target = Target("cpu", threads=arguments.threads)
    predictor = predictor_for(context.space, target, context.data.shape)
    kept = trained()
    architectures = drawn(context, arguments.finalists)
    codes = np.stack([context.space.encode(each) for each in architectures])
    predicted = predictor.predict(codes)

    def measured(machine: Any) -> Any:
        effort = Effort(arguments.seconds, least=4, most=30)
        found = measure_finalists(
            architectures, target, context.data.shape, effort=effort, machine=machine
        )
        within = (predicted.low_ms <= found.ms) & (found.ms <= predicted.high_ms)
        return found, {
            "within_90_percent_interval": float(within.mean()),
            "measured_over_predicted": float(np.median(found.ms / predicted.ms)),
            "repeat_noise": round(found.repeat_noise, 4),
            "disturbed": round(found.disturbed, 3),
            "drift": round(found.drift, 3),
        }

    apart, first = measured(None)
    here, second = measured(machine_of(target))
    again, third = measured(None)
    del kept
    return {
        "networks": len(architectures),
        "interval_factor": round(float(np.median(predicted.high_ms / predicted.ms)), 3),
        "profile": str(predictor),
        "apart": first,
        "in_the_process_that_trained": second,
        "apart_again": third,
        "here_over_apart": float(np.median(here.ms / np.sqrt(apart.ms * again.ms))),
        "apart_again_over_apart": float(np.median(again.ms / apart.ms)),
        "noise_of_one_network": float(np.median(np.abs(np.log(again.ms / apart.ms)))),
    }


def options() -> Iterator[tuple[str, dict[str, Any]]]:
    """The command line."""
    yield "--networks", {"type": int, "default": 6}
    yield "--rounds", {"type": int, "default": 25}
    yield "--threads", {"type": int, "default": 1}
    yield "--finalists", {"type": int, "default": 0}
    yield "--seconds", {"type": float, "default": 30.0}
    yield "--past", {"choices": PASTS, "help": argparse.SUPPRESS}


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, how in options():
        parser.add_argument(name, **how)
    arguments = parser.parse_args()
    if arguments.past:
        taking_turns(arguments.past, arguments)
    elif arguments.finalists:
        name = f"finalists-after-training-{arguments.threads}threads"
        write("latency", name, finalists(arguments))
    else:
        write("latency", f"clean-process-{arguments.threads}threads", pairs(arguments))


if __name__ == "__main__":
    main()
