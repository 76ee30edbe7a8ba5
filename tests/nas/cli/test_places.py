"""A place that cannot be written to is refused before any data is read or anything is measured.

The data that the commands name are not there: a command that began with them would say so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

PLACES = {
    "a file": "taken",
    "below a file": "taken/inner",
    "a link to nowhere": "astray",
    "not writable": "/proc/mine",
    "a name too long": "a" * 300,
}
OPTIONS = {
    "search --data npz:none.npz --out": "--out",
    "search --hardware a100 --budget 5ms --data folder:none --out": "--out",
    "evolve-space --data npz:none.npz --out": "--out",
    "measure --data npz:none.npz --kit": "--kit",
}
SHEET = """\
title: NVIDIA GeForce RTX 4080
kind: gpu
architecture: ada
host: workstation
tflops: {fp32: 48.7, tf32: 48.7, fp16: 97.5, bf16: 97.5}
bandwidth_gb_s: 716.8
l2_mib: 64
memory_gib: 16
sms: 76
boost_mhz: 2505
power_w: 320
sources: {A data sheet: [tflops, bandwidth_gb_s, l2_mib, memory_gib, sms, boost_mhz, power_w]}
"""
CACHE = (
    "search --data npz:none.npz",
    "train --data npz:none.npz",
    "measure --data npz:none.npz",
    "measure --data npz:none.npz --import none.csv --kit none",
    "evolve-space --data npz:none.npz",
)


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "astray").symlink_to("nowhere")
    return tmp_path


def _refused(result: Result) -> str:
    """The one message of a command that did nothing."""
    said = result.stderr
    assert result.exit_code == 2, said
    assert result.stdout == ""
    assert "none" not in said and "Something went wrong" not in said
    assert len(said.strip().splitlines()) == 1
    return said


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("words", OPTIONS)
def test_an_output_folder_is_tried_first(
    run: Callable[..., Result], places: Path, words: str, place: str
) -> None:
    said = _refused(run(*words.split(), place))
    assert OPTIONS[words] in said
    assert (places / "taken").read_text() == "mine"
    assert sorted(os.listdir(places)) == ["astray", "taken"]


@pytest.mark.parametrize("words", ["search --data npz:none.npz", "evolve-space --data npz:none"])
def test_the_usual_folder_is_tried_first(
    run: Callable[..., Result], tmp_path: Path, words: str
) -> None:
    (tmp_path / "results").write_text("")
    said = _refused(run(*words.split()))
    assert "'results' is a file. Choose a folder with --out." in said


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("words", CACHE)
def test_the_cache_is_tried_first(
    run: Callable[..., Result],
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    place: str,
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", place)
    assert "Set NAS_CACHE_DIR to another folder" in _refused(run(*words.split()))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("taken/rows.json", "Choose another folder"),
        ("/proc/rows.json", "Choose another folder"),
        (".", "Name a file that is to be written"),
    ],
)
def test_a_record_is_tried_first(
    run: Callable[..., Result], places: Path, file: str, message: str
) -> None:
    bench = "bench --table none.csv --code-columns c --maximize a --record"
    assert message in _refused(run(*bench.split(), file))


def test_a_device_is_added_only_where_there_is_a_place(
    run: Callable[..., Result], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places / "mine.yaml").write_text(SHEET)
    monkeypatch.setenv("NAS_CONFIG_DIR", "taken")
    result = run("hardware", "add", "mine.yaml")
    assert result.exit_code == 2
    assert "taken' is a file" in result.stderr and "NAS_CONFIG_DIR" in result.stderr
