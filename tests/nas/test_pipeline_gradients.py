"""Searches that learn from the supernet's gradients, on a minute space for a GPU not at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas import pipeline
from nas.run.folder import open_run
from nas.search import SEARCHERS
from nas.settings import Settings

LEARNING = [entry.name for entry in SEARCHERS if entry.needs == "supernet"]


def settings(home: Path, searcher: str) -> Settings:
    return Settings(
        space=str(home / "minute.yaml"),
        data=f"npz:{home / 'images.npz'}",
        hardware="a100",
        epochs=1,
        evaluations=12,
        lag=4,
        searcher=searcher,
    )


@pytest.mark.parametrize("searcher", LEARNING)
def test_a_run_that_was_cut_off_goes_on_to_the_same_front(
    home: Path, tmp_path: Path, searcher: str
) -> None:
    chosen = settings(home, searcher)
    whole = pipeline.run(chosen, out=tmp_path / "whole", until="search")
    lines = (whole.path / "evaluations.jsonl").read_text().splitlines()
    assert len(lines) == 12

    with open_run(chosen, tmp_path / "cut") as run:
        (run.path / "evaluations.jsonl").write_text("\n".join(lines[:5]) + "\n")
    again = pipeline.run(chosen, out=tmp_path / "cut", until="search")
    assert again.front == whole.front
    found = (tmp_path / "cut" / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["code"] for line in found] == [
        json.loads(line)["code"] for line in lines
    ]
