"""The time until a space of 45 families can be searched: `results/spaces/loading.json`.

    python scripts/space_loading.py

Every family of mixers is registered again under other names until there are `--families`, and one
space offers all of them with all options in each of ten blocks. The stages run in a process of
their own, first with an empty cache (`first`), then with the filled one (`again`): the definition,
neighbours and features of every gene, the index of parts, costs, and the latencies of a GPU. Both
the elapsed time and the processor time are given, because a busy machine lengthens the former.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTHS, DEPTHS = (64, 128, 192), (3, 4, 3)


def main() -> None:
    """Measure both and write; with `--stages` print the seconds of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=45)
    parser.add_argument("--stages", action="store_true", help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.stages:
        print(json.dumps(_stages(arguments.families)))
        return

    import results_file

    with tempfile.TemporaryDirectory() as cache:
        found = {
            name: _in_a_process(arguments.families, Path(cache)) for name in ("first", "again")
        }
    results_file.write("spaces", "loading", found, families=arguments.families)


def _in_a_process(families: int, cache: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--stages", "--families", str(families)]
    environment = {**os.environ, "NAS_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _stages(families: int) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        begin, used = time.perf_counter(), time.process_time()
        yield
        seconds[stage] = round(time.perf_counter() - begin, 3)
        processor[stage] = round(time.process_time() - used, 3)

    with timed("imports"):
        from nas.latency.cost import CostTable
        from nas.latency.gpu.predictor import GpuPredictor
        from nas.latency.target import Target
        from search_spaces.space import load_space
    _register(families)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.yaml"
        path.write_text(_definition())
        with timed("load_space"):
            space = load_space(path)
    with timed("neighbours"):
        for gene in space.genes:
            _ = gene.neighbours
    with timed("features"):
        space.features(space.smallest()[None])
    with timed("part index"):
        index = space.part_index()
    with timed("costs"):
        CostTable(space)
    later: dict[str, Callable[[], object]] = {
        "latencies, eager": lambda: GpuPredictor(space, Target("a100")),
        "latencies, compile": lambda: GpuPredictor(space, Target("a100", runtime="compile")),
        "latencies, batch 32": lambda: GpuPredictor(space, Target("a100", batch_size=32)),
    }
    for stage, make in later.items():
        with timed(stage):
            make()
    asked = [name for name in seconds if name not in ("imports", *list(later)[1:])]
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "until the first latencies": {
            "seconds": round(sum(seconds[name] for name in asked), 3),
            "processor_seconds": round(sum(processor[name] for name in asked), 3),
        },
        "choices": max(gene.cardinality for gene in space.genes),
        "parts": len(index.parts) - 1,
    }


def _register(families: int) -> None:
    """Register the families again under other names until there are so many."""
    from search_spaces.family import MIXERS

    own = list(MIXERS)
    for i in range(families - len(own)):
        family = own[i % len(own)]
        name = f"{family.name}_{i // len(own) + 2}"
        MIXERS.register(dataclasses.replace(family, name=name))


def _definition() -> str:
    """A space of ten blocks in three stages, each of which offers everything."""
    from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, MIXERS

    def everything(registry: Any) -> list[dict[str, dict[str, list[Any]]]]:
        return [
            {family.name: {name: list(values) for name, values in family.choices().items()}}
            for family in registry
        ]

    stages: list[dict[str, Any]] = [
        {
            "width": width,
            "depth": depth,
            "mixers": everything(MIXERS),
            "channel_mixers": everything(CHANNEL_MIXERS),
        }
        for width, depth in zip(WIDTHS, DEPTHS, strict=True)
    ]
    for stage in stages[1:]:
        stage |= {"stride": 2, "downsampling": list(DOWNSAMPLINGS.names())}
    space = {"schema": 1, "name": "many", "resolution": 32, "stem": ["conv"], "stages": stages}
    return json.dumps(space)  # which is YAML too


if __name__ == "__main__":
    main()
