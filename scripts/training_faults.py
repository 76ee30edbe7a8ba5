"""Trainings on a cluster: equal to one process, and what kills and hangs cost.

    python scripts/training_faults.py --part equality
    python scripts/training_faults.py --part kill-training
    python scripts/training_faults.py --part kill-retraining
    python scripts/training_faults.py --part shrink
    python scripts/training_faults.py --part limits

equality    one process against two that share each step (gloo), in float64 and float32
kill-...    `kill -9` of the driver in `nas search --ray local` while the supernet trains, then
            `nas resume`; or in `nas retrain --ray local`, then the same command again; the weights
            must be equal in the end
shrink      one of two nodes is killed while `nas train --workers 1-2` trains on them: it goes on
            with one worker, to the losses of one process
limits      `nas train` to a bucket without credentials: the message and how long it takes
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
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
from small_space import SPACE

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
weights = {name: p.detach().double() for name, p in supernet.named_parameters()}
torch.save({"losses": losses, "weights": weights}, out)
"""
SECONDS = 45.0
"""From the beginning of a training to its kill: time for two checkpoints, one in 20 s."""
PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]


def main() -> None:
    """One part; its figures go to `results/cluster/`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {
        "equality": equality,
        "kill-training": kill_training,
        "kill-retraining": kill_retraining,
        "shrink": shrink,
        "limits": limits,
    }
    parser.add_argument("--part", choices=list(parts), required=True)
    part = parser.parse_args().part
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        home = Path(name)
        (home / "small.yaml").write_text(SPACE)
        figures = parts[part](home)
    results_file.write("cluster", f"training-{part}", figures, seed=0)


def equality(home: Path) -> dict[str, Any]:
    """The largest differences between one process and two, over 50 steps of 63 images."""
    import torch

    figures: dict[str, Any] = {}
    for kind in ("float64", "float32"):
        (alone,) = _trained(home, 1, kind)
        first, second = _trained(home, 2, kind)
        losses = torch.tensor([alone["losses"], first["losses"]], dtype=torch.float64)
        apart = {
            name: float((weight - first["weights"][name]).abs().max())
            for name, weight in alone["weights"].items()
        }
        figures[kind] = {
            "loss": float((losses[0] - losses[1]).abs().max()),
            "weight": max(apart.values()),
            "weights": len(apart),
            "beyond_1e-10": {n: each for n, each in apart.items() if each > 1e-10}
            if kind == "float64"
            else {},
            "workers_equal": all(
                torch.equal(weight, second["weights"][name])
                for name, weight in first["weights"].items()
            ),
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


def kill_training(home: Path) -> dict[str, Any]:
    """Weights of a supernet after a kill of the driver against those without."""
    words = "search --space small.yaml --hardware cpu --threads 1 --epochs 16 --evaluations 16"
    search = [*words.split(), "--searcher", "random", "--retrain-top", "0"]
    there = ["--ray", "local", "--workers", "2"]
    cut = Nas(home, "cut")
    after = cut.killed("training the supernet", *search, *there, "--out", "cut")
    said = cut.run("resume", "cut", *there)
    whole = Nas(home, "whole")
    whole.run(*search, *there, "--out", "whole")
    pattern = "supernets/*/supernet.safetensors"
    return {
        "killed_after": after,
        "went_on_from": _went_on(said),
        "same_weights": whole.hashes(pattern) == cut.hashes(pattern),
    }


def kill_retraining(home: Path) -> dict[str, Any]:
    """Weights of networks after a kill of the driver, without a kill, and without Ray."""
    nas, there = Nas(home, "retrain"), ["--ray", "local", "--workers", "2"]
    words = "search --space small.yaml --hardware cpu --threads 1 --searcher random"
    nas.run(
        *words.split(),
        *["--epochs", "2", "--evaluations", "16", "--until", "measure", "--out", "here"],
    )
    for run in RUNS:
        shutil.copytree(home / "here", home / run)
    retrain = ["--top", "2", "--epochs", "40", "--from-scratch"]
    after = nas.killed("training ", "retrain", "again", *retrain, *there)
    said = nas.run("retrain", "again", *retrain, *there)
    nas.run("retrain", "whole", *retrain, *there)
    nas.run("retrain", "here", *retrain)
    hashes = {
        run: [_hash(path) for path in sorted(home.glob(f"{run}/networks/*/network.safetensors"))]
        for run in (*RUNS, "here")
    }
    return {
        "networks": len(hashes["whole"]),
        "killed_after": after,
        "went_on_from": _went_on(said),
        "same_weights": hashes["again"] == hashes["whole"],
        "same_weights_without_ray": hashes["here"] == hashes["whole"],
    }


RUNS = ("whole", "again")


NODES = """
import sys
from ray.cluster_utils import Cluster

how = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
cluster = Cluster()
cluster.add_node(include_dashboard=False, **how)
node = cluster.add_node(**how)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
print("killed", flush=True)
sys.stdin.readline()
"""


def shrink(home: Path) -> dict[str, Any]:
    """A supernet whose cluster loses one of two nodes against one trained in one process."""
    nas = Nas(home, "shrink")
    nas.environment |= {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}
    nodes = subprocess.Popen(
        [sys.executable, "-c", NODES],
        env=nas.environment | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert nodes.stdin is not None and nodes.stdout is not None
    address = nodes.stdout.readline().strip()
    train = ["train", "--space", "small.yaml", "--epochs", "16", "--json"]
    begin = time.monotonic()
    process = nas.start(*train, "--ray", address, "--workers", "1-2")
    lines = nas.begun(process, "training the supernet")
    time.sleep(SECONDS)
    nodes.stdin.write("\n")
    nodes.stdin.flush()
    assert nodes.stdout.readline() == "killed\n"
    assert process.poll() is None, "the training ended before the node was killed"
    status = process.wait()
    seconds = time.monotonic() - begin
    nodes.kill()
    alone = Nas(home, "alone")
    curve = json.loads(alone.run_json(*train))["curve"]
    shrunk = json.loads(nas.run_json(*train))["curve"]
    return {
        "exit_status": status,
        "node_killed_after_s": SECONDS,
        "seconds": round(seconds, 1),
        "said": [line.strip() for line in lines if "training the supernet" in line],
        "largest_difference_of_a_loss": max(
            abs(one["loss"] - other["loss"]) for one, other in zip(shrunk, curve, strict=True)
        ),
    }


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

    def run_json(self, *words: str) -> str:
        """The document of a command."""
        done = subprocess.run(
            [*PROGRAM, *words], env=self.environment, cwd=self.home, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command in the background."""
        return subprocess.Popen(
            [*PROGRAM, *words],
            env=self.environment,
            cwd=self.home,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def begun(self, process: subprocess.Popen[str], word: str) -> list[str]:
        """Wait until workers have begun; the lines that the command has said and will say.

        Args:
            process: The command.
            word: What the line begins with that says that the workers have begun.
        """
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
        reader.start()
        while not any(word in line and "worker" in line for line in lines):
            assert process.poll() is None, lines
            time.sleep(0.05)
        return lines

    def killed(self, word: str, *words: str) -> str:
        """Start a command and kill it after a checkpoint or two; how long it trained.

        Args:
            word: As for `begun`.
            words: The command.
        """
        process = self.start(*words)
        self.begun(process, word)
        time.sleep(SECONDS)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return f"{SECONDS:g} s of training" if running else "its end"

    def hashes(self, pattern: str) -> list[str]:
        """Of files in the cache."""
        return [_hash(path) for path in sorted(self.cache.glob(pattern))]


def _went_on(said: str) -> list[str]:
    return re.findall(r"goes on from step \d+ of \d+", said)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    main()
