"""How fast and how sturdy a search on a Ray cluster is, on one machine.

    OMP_NUM_THREADS=1 python scripts/cluster_search.py rate       driver rate
    OMP_NUM_THREADS=1 python scripts/cluster_search.py speedup    two workers against one
    OMP_NUM_THREADS=1 python scripts/cluster_search.py faults     nodes and drivers killed
    OMP_NUM_THREADS=1 python scripts/cluster_search.py database   trials a second into PostgreSQL

In `rate` evaluators do nothing. It also gives Ray's own time per evaluation: what one takes there
and back when it is sent alone. `speedup` runs one and two workers in turn, so that a busy machine
slows both down alike; its searcher draws at random, so that evaluating is the only work. `faults`
kills a node (of two) or the driver at random moments and compares the front with that of one
process. `database` needs a server: --journal postgresql://USER@HOST/DATABASE.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import results_file

from nas.cluster.cleaner import FOLDER, cleaned_up, processes_of
from nas.cluster.connection import connected
from nas.cluster.evaluators import on_workers
from nas.cluster.resources import RayChoice
from nas.search import make_searcher
from nas.search.engine import SearchProgress, search
from nas.search.evaluators import Evaluating
from nas.search.objectives import Budgets, Measures
from nas.search.problem import Problem
from nas.search.protocol import Codes
from nas.search.study import mirror
from nas.search.study_places import StudyDatabase
from search_spaces import load_space
from supernet.scores import Evaluation

SPACE = load_space("hybrid-tiny")
PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]
NODES = """
import sys
from ray.cluster_utils import Cluster

cluster, nodes = Cluster(), []
how = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
cluster.add_node(include_dashboard=False, **how)
nodes.append(cluster.add_node(**how))
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(nodes.pop(), allow_graceful=False)
sys.stdin.readline()
"""


def nothing(code: Codes) -> Evaluation:
    """An evaluation that takes no time."""
    return Evaluation(0.5, 0.5, 1.0)


def identify(code: Codes) -> str:
    """A name that takes no time; workers compute the real ids."""
    return code.tobytes().hex()


def one(codes: Codes) -> Measures:
    """Latencies and costs that are all 1."""
    column, row = np.ones((len(codes), 1)), np.ones(len(codes))
    return Measures(column, column, column, row, row, row)


def idle(shared: Any) -> Evaluating:
    """What an idle worker evaluates with."""
    return Evaluating(nothing, identify)


EMPTY = Problem(SPACE, nothing, one, Budgets(((None,),)), identify)


def rate(arguments: argparse.Namespace) -> None:
    """Evaluations a second through the whole engine: asked, sent, recorded and told."""
    total, tenth = arguments.evaluations, arguments.evaluations // 10
    marks: list[float] = []

    def progress(now: SearchProgress) -> None:
        if now.done % tenth == 0:
            marks.append(time.perf_counter())
            print(f"{now.done:,}: {now.note}", flush=True)

    choice = RayChoice("local", most=arguments.workers)
    with (
        tempfile.TemporaryDirectory() as folder,
        connected(choice) as cluster,
        on_workers(
            cluster, idle, None, identify=identify, costs=lambda c: np.ones(len(c)), say=print
        ) as workers,
    ):
        trip = _round_trip(workers)
        before = resource.getrusage(resource.RUSAGE_SELF)
        marks.append(time.perf_counter())
        searcher = make_searcher("random", EMPTY.brief(arguments.seed, evaluations=total))
        search(
            EMPTY,
            searcher,
            evaluations=total,
            record=Path(folder) / "evaluations.jsonl",
            lag=arguments.lag,
            progress=progress,
            evaluators=workers,
        )
        after = resource.getrusage(resource.RUSAGE_SELF)
        size = (Path(folder) / "evaluations.jsonl").stat().st_size
        rates = [tenth / (b - a) for a, b in zip(marks, marks[1:], strict=False)]
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures = {
            "evaluations": total,
            "lag": arguments.lag,
            "workers": arguments.workers,
            "per_second": round(total / (marks[-1] - marks[0])),
            "per_second_by_tenth": [round(value) for value in rates],
            "driver_cpu_ms_per_evaluation": round(1000 * spent / total, 3),
            "per_second_of_driver_cpu": round(total / spent),
            "chunk_of_one_there_and_back_ms": round(1000 * trip, 2),
            "record_bytes_per_evaluation": round(size / total),
        }
    results_file.write("cluster", "driver-rate", figures, seed=arguments.seed)


def _round_trip(workers: Any, times: int = 200) -> float:
    """Median seconds of a candidate that is sent alone and costs nothing."""
    code, took = SPACE.sample(1, np.random.default_rng(0))[0], []
    for _ in range(times):
        began = time.perf_counter()
        workers.submit(-1, code)
        workers.collect()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def speedup(arguments: argparse.Namespace) -> None:
    """Seconds of the same search with one worker and with two, in turn."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as name:
        home = Path(name)
        _nas(home, "one-0", arguments, "--ray", "local", "--workers", "1").wait()  # trains
        for trial in range(arguments.trials):
            row = {"trial": trial}
            for workers in (1, 2) if trial % 2 else (2, 1):
                out = f"{workers}-{trial}"
                process = _nas(home, out, arguments, "--ray", "local", "--workers", str(workers))
                assert process.wait() == 0
                (line,) = (home / out / "cluster.jsonl").read_text().splitlines()
                done = json.loads(line)
                assert not done["failures"]
                row[f"seconds_{workers}"] = done["seconds"]
                overhead = done["seconds"] * workers - done["worker_seconds"]
                row[f"idle_ms_per_evaluation_{workers}"] = 1000 * overhead / done["evaluations"]
                row[f"front_{workers}"] = _hash(home / out / "front.json")
            row["ratio"] = row["seconds_1"] / row["seconds_2"]
            rows.append(row)
            print(row, flush=True)
    figures = {
        "evaluations": arguments.evaluations,
        "median_ratio": round(float(np.median([row["ratio"] for row in rows])), 3),
        "idle_ms_per_evaluation_one_worker": round(
            float(np.median([row["idle_ms_per_evaluation_1"] for row in rows])), 2
        ),
        "same_front": len({row[f"front_{n}"] for row in rows for n in (1, 2)}) == 1,
    }
    results_file.write("cluster", "speedup", figures, seed=arguments.seed, trials=rows)


def faults(arguments: argparse.Namespace) -> None:
    """Kill a node or the driver at random moments of the search."""
    rng, rows = np.random.default_rng(arguments.seed), []
    with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as name:
        home = Path(name)
        assert _nas(home, "whole", arguments).wait() == 0
        expected = _hash(home / "whole" / "front.json")
        for trial in range(arguments.trials):
            for kill in (_kill_node, _kill_driver):
                after = int(rng.integers(1, arguments.evaluations - 10))
                out = f"{kill.__name__}-{trial}"
                found = kill(home, out, arguments, after)
                codes = _codes(home, out)
                row = {
                    "killed": kill.__name__.removeprefix("_kill_"),
                    "after_evaluations": after,
                    "same_front": _hash(home / out / "front.json") == expected,
                    "evaluated_twice": len(codes) - len(set(codes)),
                    **found,
                }
                rows.append(row)
                print(row, flush=True)
    same = sum(row["same_front"] and not row["evaluated_twice"] for row in rows)
    gone = [row["all_gone_after_s"] for row in rows if "all_gone_after_s" in row]
    figures = {"same_front": f"{same} of {len(rows)}", "all_gone_after_s": max(gone)}
    results_file.write("cluster", "faults", figures, seed=arguments.seed, trials=rows)


def _kill_node(home: Path, out: str, arguments: argparse.Namespace, after: int) -> dict[str, Any]:
    """One of two nodes dies in mid-search."""
    folder = Path(tempfile.mkdtemp(prefix="n", dir=home))
    environment = {FOLDER: str(folder), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with cleaned_up(folder):
        nodes = subprocess.Popen(
            [sys.executable, "-c", NODES],
            env={**os.environ, **environment, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert nodes.stdout is not None and nodes.stdin is not None
        address = nodes.stdout.readline().strip()
        driver = _nas(home, out, arguments, "--ray", address, "--workers", "2")
        _wait(driver, home, out, after)
        nodes.stdin.write("kill\n")
        nodes.stdin.flush()
        assert driver.wait() == 0
        nodes.kill()
        nodes.communicate()
    (line,) = (home / out / "cluster.jsonl").read_text().splitlines()
    return {"failures": json.loads(line)["failures"]}


def _kill_driver(
    home: Path, out: str, arguments: argparse.Namespace, after: int
) -> dict[str, Any]:
    """The driver dies, then the same command goes on."""
    driver = _nas(home, out, arguments, "--ray", "local", "--workers", "2")
    _wait(driver, home, out, after)
    (folder,) = home.glob("nas-ray-*")
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    began = time.monotonic()
    while processes_of(str(folder)) or folder.exists():
        time.sleep(0.1)
    gone = time.monotonic() - began
    assert _nas(home, out, arguments, "--ray", "local", "--workers", "2").wait() == 0
    return {"all_gone_after_s": round(gone, 1)}


def database(arguments: argparse.Namespace) -> None:
    """Trials a second into a study of a PostgreSQL database."""
    assert arguments.journal, "give --journal postgresql://USER@HOST/DATABASE"
    with tempfile.TemporaryDirectory() as folder:
        total = arguments.evaluations
        searcher = make_searcher("random", EMPTY.brief(arguments.seed, evaluations=total))
        record = Path(folder) / "evaluations.jsonl"
        records = search(EMPTY, searcher, evaluations=total, record=record)
    place = StudyDatabase(arguments.journal, f"rate-{os.getpid()}")
    rates, tenth = [], total // 10
    with place.held():
        for done in range(tenth, total + 1, tenth):
            began = time.perf_counter()
            mirror(place, records[:done], SPACE.genes)
            rates.append(round(tenth / (time.perf_counter() - began)))
        place.clear()
    figures = {"trials": total, "per_second_by_tenth": rates}
    results_file.write("cluster", "database", figures, seed=arguments.seed)


def _nas(
    home: Path, out: str, arguments: argparse.Namespace, *words: str
) -> subprocess.Popen[bytes]:
    """A search of random children of `hybrid-tiny` on the digits, until its front."""
    searched = ["--epochs", "1", "--evaluations", str(arguments.evaluations)]
    searched += ["--seed", str(arguments.seed), "--searcher", "random", "--threads", "1"]
    environment = {"NAS_CACHE_DIR": str(home / "cache"), "TMPDIR": str(home)}
    return subprocess.Popen(
        [*PROGRAM, "search", "--out", out, "--until", "search", *searched, *words],
        cwd=home,
        env={**os.environ, **environment, "PYTHONPATH": str(results_file.ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(driver: subprocess.Popen[bytes], home: Path, out: str, lines: int) -> None:
    record = home / out / "evaluations.jsonl"
    while not record.exists() or record.read_bytes().count(b"\n") < lines:
        assert driver.poll() is None, "the search ended before it was to be disturbed"
        time.sleep(0.02)


def _codes(home: Path, out: str) -> list[tuple[int, ...]]:
    lines = (home / out / "evaluations.jsonl").read_text().splitlines()
    return [tuple(json.loads(line)["code"]) for line in lines]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Defaults:
    """Of each part."""

    evaluations: int
    trials: int = 1


PARTS = {
    "rate": (rate, Defaults(100_000)),
    "speedup": (speedup, Defaults(400, trials=5)),
    "faults": (faults, Defaults(200, trials=3)),
    "database": (database, Defaults(2_000)),
}


def main() -> None:
    """One part, as the command says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--evaluations", type=int)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lag", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal")
    arguments = parser.parse_args()
    run, defaults = PARTS[arguments.part]
    arguments.evaluations = arguments.evaluations or defaults.evaluations
    arguments.trials = arguments.trials or defaults.trials
    run(arguments)


if __name__ == "__main__":
    main()
