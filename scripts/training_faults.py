"""Trainings on a cluster: equal to one process, and what kills and hangs cost.

    python scripts/training_faults.py --part equality
    python scripts/training_faults.py --part kill
    python scripts/training_faults.py --part limits

equality    one process against two that share each step (gloo), in float64 and float32
kill        `kill -9` of the driver in `nas search --ray local` while the supernet trains, and in
            `nas retrain --ray local`; then the same goes on, and must end with the same weights
limits      `nas retrain` to a bucket without credentials: the message and how long it takes
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import results_file

SPACE = """
schema: 1
name: small
norm: batch
resolution: [8, 12]
stem: [conv: {stride: [2, 1]}]
stages:
- width: [8, 16]
  depth: [1, 2]
  mixers: [pool, depthwise: {kernel: [3, 5]}, attention]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- {width: [16, 24], depth: [1, 2], stride: 2, downsampling: conv, mixers: [pool, linear]}
"""
SHARED = """
import json, sys
import numpy as np
import torch
import torch.distributed as dist
from nas.data import load_data
from nas.data.augment import Augmentation
from nas.data.batches import Batch, TrainBatches
from search_spaces import load_space
from supernet import Supernet
from supernet.sampling.sandwich import Sandwich, SandwichOptions
from supernet.supervision.in_place import InPlaceDistillation, InPlaceOptions
from supernet.training.recipe import Recipe
from supernet.training.parallel.together import Together
from supernet.training.train import train

worker, workers, meet, space, kind, out = json.loads(sys.argv[1])
torch.set_num_threads(1)
if workers > 1:
    dist.init_process_group("gloo", init_method=meet, rank=worker, world_size=workers)
kind = getattr(torch, kind)
data = load_data("digits").search_view()
batches = TrainBatches(data.train, data.normalisation, Augmentation(), data.shape.classes, 0)


class Precise:
    def steps_per_epoch(self, batch_size):
        return 10

    def batch(self, step, batch_size, resolution):
        found = batches.batch(step, batch_size, resolution)
        return Batch(found.images.to(kind), found.targets.to(kind), found.indices)


space = load_space(space)
supernet = Supernet(space, data.shape, seed=0).to(kind)
losses = []
train(
    supernet, Precise(), Recipe(epochs=5, batch_size=63), Sandwich(space, SandwichOptions()),
    InPlaceDistillation(InPlaceOptions()), seed=0,
    progress=lambda now: losses.append(now.loss), workers=Together() if workers > 1 else None,
)
weights = torch.cat([p.detach().flatten().double() for p in supernet.parameters()])
torch.save({"losses": losses, "weights": weights}, out)
"""
PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]


def main() -> None:
    """One part; its figures go to `results/cluster/`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["equality", "kill", "limits"], required=True)
    part = parser.parse_args().part
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        home = Path(name)
        (home / "small.yaml").write_text(SPACE)
        figures = {"equality": equality, "kill": kill, "limits": limits}[part](home)
    results_file.write("cluster", f"training-{part}", figures, seed=0)


def equality(home: Path) -> dict[str, Any]:
    """The largest differences between one process and two, over 50 steps of 63 images."""
    import torch

    figures: dict[str, Any] = {}
    for kind in ("float64", "float32"):
        (alone,) = _trained(home, 1, kind)
        first, second = _trained(home, 2, kind)
        losses = torch.tensor([alone["losses"], first["losses"]], dtype=torch.float64)
        figures[kind] = {
            "loss": float((losses[0] - losses[1]).abs().max()),
            "weight": float((alone["weights"] - first["weights"]).abs().max()),
            "workers_equal": bool(torch.equal(first["weights"], second["weights"])),
            "curve_of_one": [round(each, 6) for each in alone["losses"][::7]],
            "curve_of_two": [round(each, 6) for each in first["losses"][::7]],
        }
    return figures


def _trained(home: Path, workers: int, kind: str) -> list[dict[str, Any]]:
    import torch

    outs = [home / f"{kind}-{workers}-{worker}.pt" for worker in range(workers)]
    meet = f"file://{home}/meet-{kind}-{workers}"
    orders = [
        json.dumps([worker, workers, meet, str(home / "small.yaml"), kind, str(out)])
        for worker, out in enumerate(outs)
    ]
    started = [subprocess.Popen([sys.executable, "-c", SHARED, order]) for order in orders]
    assert not any([process.wait() for process in started])
    return [torch.load(out, weights_only=True) for out in outs]


def kill(home: Path) -> dict[str, Any]:
    """Weights after a kill against those without, and where the training went on."""
    fixed = "--space small.yaml --hardware cpu --threads 1 --searcher evolution --evaluations 30"
    search = ["search", *fixed.split(), "--epochs", "40", "--until", "search"]
    there = ["--ray", "local", "--workers", "2"]
    whole = Nas(home, "whole")
    whole.run(*search, "--out", "whole", *there)
    cut = Nas(home, "cut")
    where = cut.killed("training the supernet", 30.0, *search, "--out", "cut", *there)
    said = cut.run("resume", "cut", *there)
    figures = {
        "supernet": {
            "killed_after": where,
            "went_on_from": _went_on(said),
            "same_weights": whole.hashes("supernets/*/supernet.safetensors")
            == cut.hashes("supernets/*/supernet.safetensors"),
            "same_front": _hash(home / "whole/front.json") == _hash(home / "cut/front.json"),
        }
    }
    retrain = ["--top", "2", "--epochs", "100", *there]
    shutil.copytree(home / "whole", home / "again")
    whole.run("retrain", "whole", *retrain)
    where = whole.killed("training ", 30.0, "retrain", "again", *retrain)
    said = whole.run("retrain", "again", *retrain)
    networks = [sorted(home.glob(f"{run}/networks/*/network.safetensors")) for run in RUNS]
    figures["retraining"] = {
        "killed_after": where,
        "went_on_from": _went_on(said),
        "networks": len(networks[0]),
        "same_weights": [[_hash(path) for path in found] for found in networks][0]
        == [_hash(path) for path in networks[1]],
    }
    shutil.copytree(home / "whole", home / "here")
    shutil.rmtree(home / "here" / "networks")
    whole.run("retrain", "here", "--top", "2", "--epochs", "100")
    here = sorted(home.glob("here/networks/*/network.safetensors"))
    figures["retraining"]["same_weights_without_ray"] = [_hash(p) for p in here] == [
        _hash(path) for path in networks[0]
    ]
    return figures


RUNS = ("whole", "again")


def limits(home: Path) -> dict[str, Any]:
    """The message about a bucket without credentials, its exit status and its time."""
    nas = Nas(home, "limits")
    nas.environment = {k: v for k, v in nas.environment.items() if not k.startswith("AWS_")}
    begin = time.monotonic()
    there = ["--ray", "local", "--storage", "s3://nas-no-such-bucket/runs"]
    done = subprocess.run(
        [*PROGRAM, "train", *there], env=nas.environment, cwd=home, capture_output=True, text=True
    )
    return {
        "exit_status": done.returncode,
        "seconds": round(time.monotonic() - begin, 1),
        "message": done.stderr.strip(),
    }


class Nas:
    """The program with a cache of its own."""

    def __init__(self, home: Path, cache: str) -> None:
        self.home, self.cache = home, home / f"cache-{cache}"
        self.environment = {
            **os.environ,
            "NAS_CACHE_DIR": str(self.cache),
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(home),
        }

    def run(self, *words: str) -> str:
        """A command to its end; what it said."""
        done = subprocess.run(
            [*PROGRAM, *words], env=self.environment, cwd=self.home, capture_output=True, text=True
        )
        print(done.stderr[-3000:], flush=True)
        assert done.returncode == 0, words
        return done.stderr

    def killed(self, word: str, seconds: float, *words: str) -> str:
        """Start a command and kill it that long after its workers began; what it said last."""
        process = subprocess.Popen(
            [*PROGRAM, *words],
            env=self.environment,
            cwd=self.home,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
        reader.start()
        while not any(word in line and "worker" in line for line in lines):
            assert process.poll() is None, lines
            time.sleep(0.05)
        time.sleep(seconds)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return f"{seconds:g} s of training" if running else "its end"

    def hashes(self, pattern: str) -> list[str]:
        """Of files in the cache."""
        return [_hash(path) for path in sorted(self.cache.glob(pattern))]


def _went_on(said: str) -> list[str]:
    return re.findall(r"goes on from step \d+ of \d+", said)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    main()
