"""Threads that wait asleep or in a loop: a training step alone, and beside other programs.

    python scripts/waiting_threads.py --rounds 3

Each step trains MobileNetV3-Small on 32 images of 96 px, on all processors. `asleep` is what the
program `nas` chooses (`nas.environment.share_processors`), `in a loop` is torch's default. Beside
`others`, as many programs compute without a pause as there are processors. The ways take turns;
the table has the median seconds of a step, and the processor time that it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

import results_file

from nas.environment import SPINS, usable_cpus

STEPS = """
import json, sys, time
import torch
import nas.timm_library
import timm

torch.set_num_threads(int(sys.argv[1]))
network = timm.create_model("mobilenetv3_small_100").train().to(memory_format=torch.channels_last)
x = torch.randn(32, 3, 96, 96).contiguous(memory_format=torch.channels_last)
network(x).sum().backward()
begun, spent = time.perf_counter(), time.process_time()
for _ in range(8):
    network(x).sum().backward()
print(json.dumps([(time.perf_counter() - begun) / 8, (time.process_time() - spent) / 8]))
"""
WAYS = {"in a loop": {}, "asleep": {"GOMP_SPINCOUNT": SPINS}}


def main() -> None:
    """Run the ways in turns, alone and beside others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rows = []
    for others in (0, usable_cpus()):
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)
        ]
        try:
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            for _ in range(asked.rounds):
                for way in WAYS:
                    found[way].append(_step(WAYS[way]))
        finally:
            for process in busy:
                process.kill()
        for way, times in found.items():
            seconds, spent = (median(each) for each in zip(*times, strict=True))
            row: dict[str, Any] = {"others": others, "way": way}
            rows.append(row | {"s": round(seconds, 3), "processor_s": round(spent, 3)})
    results_file.write("reliability", "waiting-threads", {"rows": rows})


def _step(variables: dict[str, str]) -> tuple[float, float]:
    ours = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(usable_cpus())],
        env=environment | variables,
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, spent = json.loads(done.stdout)
    return seconds, spent


if __name__ == "__main__":
    main()
