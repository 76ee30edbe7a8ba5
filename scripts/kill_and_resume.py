"""`kill -9` at random moments of training, search and retraining, then `nas resume`.

    python scripts/kill_and_resume.py --moments 10

Each time the front and the exported weights must equal those of an uninterrupted run, to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import results_file
from small_space import SPACE

STEPS = ("supernet", "search", "retrain")
BEFORE = {"supernet": "latency", "search": "supernet", "retrain": "measure"}
PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]


def main() -> None:
    """One run to the end, then many that are killed and resumed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=10, help="of each step")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    settings = ["--epochs", str(arguments.epochs), "--evaluations", str(arguments.evaluations)]
    settings += ["--retrain-epochs", "20", "--hardware", "cpu", "--threads", "1"]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "small.yaml").write_text(SPACE)
        settings += ["--space", str(home / "small.yaml")]
        whole = Trial(home / "whole", home / "cache", settings)
        whole.start().wait()
        expected = whole.outcome()
        noted = json.loads((whole.run / "steps.json").read_text())["steps"]
        seconds = {step: noted[step]["seconds"] for step in STEPS}
        print(f"uninterrupted: {expected}, {seconds}", flush=True)
        rows = []
        for step in STEPS:
            for moment in range(arguments.moments):
                cache = home / f"cache-{step}-{moment}"
                shutil.copytree(home / "cache", cache)
                if step == "supernet":
                    shutil.rmtree(cache / "supernets")
                trial = Trial(home / f"{step}-{moment}", cache, settings)
                after = float(rng.random() * seconds[step])
                killed_in = trial.kill(step, after)
                trial.resume()
                rows.append(
                    {
                        "step": step,
                        "seconds_into_it": round(after, 2),
                        "killed": killed_in,
                        "same": trial.outcome() == expected,
                    }
                )
                print(rows[-1], flush=True)
                shutil.rmtree(cache)
                shutil.rmtree(trial.run)
    same = sum(row["same"] for row in rows)
    figures = {"same_result": f"{same} of {len(rows)}", "steps_seconds": seconds}
    results_file.write("reliability", "kill-and-resume", figures, seed=arguments.seed, trials=rows)


class Trial:
    """One run in a folder and a cache of its own."""

    def __init__(self, run: Path, cache: Path, settings: list[str]) -> None:
        self.run, self.settings = run, settings
        self.environment = {**os.environ, "NAS_CACHE_DIR": str(cache)}

    def start(self) -> subprocess.Popen[bytes]:
        """`nas search`."""
        return self._nas("search", *self.settings, "--out", str(self.run), "--until", "export")

    def kill(self, step: str, seconds: float) -> bool:
        """Start, wait for a step, then kill; whether the process was still running."""
        process = self.start()
        while process.poll() is None and not self._finished(BEFORE[step]):
            time.sleep(0.02)
        time.sleep(seconds)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return running

    def resume(self) -> None:
        """`nas resume`, by the same command, which stops after the export."""
        assert self.start().wait() == 0

    def outcome(self) -> dict[str, str]:
        """Hashes of the front and of each exported network."""
        files = [self.run / "front.json", *sorted(self.run.glob("networks/*/model.safetensors"))]
        return {str(file.relative_to(self.run)): _hash(file) for file in files}

    def _nas(self, *words: str) -> subprocess.Popen[bytes]:
        silent = subprocess.DEVNULL
        return subprocess.Popen(
            [*PROGRAM, *words], env=self.environment, stdout=silent, stderr=silent
        )

    def _finished(self, step: str) -> bool:
        try:
            return step in json.loads((self.run / "steps.json").read_text())["steps"]
        except (OSError, ValueError):
            return False


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    main()
