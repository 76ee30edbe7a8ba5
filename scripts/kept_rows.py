"""Rows of results in a file that grows, so that a script can be continued or run in parts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch


class Rows:
    """Rows of results that are kept as they come, so that a script can be continued."""

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self._path, self._keys = path, keys
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = [json.loads(line) for line in path.read_text().splitlines()]

    def has(self, **key: object) -> bool:
        """Whether there is a row with these values."""
        return any(all(row[k] == v for k, v in key.items()) for row in self.rows)

    def missing(self, asked: argparse.Namespace) -> Iterator[tuple[str, int]]:
        """Each way and seed that was asked for and has no row, seed after seed."""
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            for way in asked.ways:
                if not self.has(way=way, seed=seed):
                    yield way, seed

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row, with the device that it was computed on."""
        cuda = torch.cuda.is_available()
        device = torch.cuda.get_device_name() if cuda else "cpu"
        self.rows.append({**row, "device": device})
        print(row, flush=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")

    def groups(self) -> Iterator[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
        """Rows with equal keys."""
        for key in dict.fromkeys(tuple(row[k] for k in self._keys) for row in self.rows):
            yield key, [row for row in self.rows if tuple(row[k] for k in self._keys) == key]


def add_ways(parser: argparse.ArgumentParser, ways: Iterable[str], seeds: int = 1) -> None:
    """The options that say which rows to make: ways, seeds and threads."""
    names = list(ways)
    parser.add_argument("--ways", nargs="*", default=names, choices=names)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
