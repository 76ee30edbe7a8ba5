"""Kits: what is written can be measured without us, and what comes back is checked."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nas.commands import steps as commands
from nas.errors import CheckpointError, NotFittedError, RunError, SettingsError
from nas.latency import PartsPredictor, Target, measured_predictor, predictor_for
from nas.latency.gpu.predictor import GpuPredictor
from nas.latency.identity import parts_hash
from nas.latency.profiles.gpu import MeasuredGpuPredictor
from nas.latency.profiles.kit import read_kit, write_kit
from nas.latency.profiles.kit_times import import_times, read_times
from nas.latency.profiles.part_features import ROWS, PartFeatures
from nas.latency.profiles.profile import Subject
from nas.progress import Silent
from nas.settings import Settings
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.space import Codes, SearchSpace

SPACE = """
schema: 1
name: quarter
resolution: [8, 16]
stem: [conv: {stride: [1, 2]}]
stages:
- width: [8, 16]
  depth: [0, 1]
  mixers: [pool]
"""
DEVICE = "pi5"
BOARD = "title: Raspberry Pi 5\nkind: board\ncores: 4\n"


@pytest.fixture(scope="module", autouse=True)
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A device that only runs what it is given."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "devices").mkdir()
    (folder / "devices" / f"{DEVICE}.yaml").write_text(BOARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CONFIG_DIR", str(folder))
        yield


@pytest.fixture(scope="module")
def quarter() -> SearchSpace:
    return SearchSpace(read_definition(SPACE, "quarter"))


@pytest.fixture(scope="module")
def target() -> Target:
    return Target(DEVICE, runtime="onnxruntime", batch_size=2)


@pytest.fixture(scope="module")
def kit(quarter: SearchSpace, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("kits") / "kit"
    write_kit(
        folder,
        Subject(quarter, target, DataShape(1, 10)),
        probes=6,
        given=("--space", "my spaces/quarter.yaml"),
        progress=Silent(),
    )
    return folder


def _times(kit: Path, space: SearchSpace, file: Path) -> Path:
    """What a made-up device takes, with a price for every launch, GFLOP and MiB."""
    codes = read_kit(kit).codes
    features = PartFeatures.of(space.part_index(DataShape(1, 10)), 2)
    prices = np.array([0.1, *np.tile([0.01, 2.0, 0.2], len(ROWS))])
    ms = features.networks(np.array(list(codes.values()))) @ prices
    file.write_text("id,ms\n" + "".join(f"{n},{t}\n" for n, t in zip(codes, ms, strict=True)))
    return file


def test_a_kit_holds_networks_and_what_to_do_with_them(kit: Path, quarter: SearchSpace) -> None:
    with open(kit / "probes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = read_kit(kit)
    assert [row["id"] for row in rows] == list(found.codes)
    assert len(rows) == 6
    for row in rows:
        assert quarter.decode(np.array(found.codes[row["id"]])).id == row["id"]
        assert (kit / row["file"]).stat().st_size > 1000
    words = (kit / "README.md").read_text()
    assert (
        f"nas measure --import times.csv --kit kit --hardware {DEVICE} --runtime onnxruntime "
        "--precision fp32 --batch-size 2 --threads 4 --space 'my spaces/quarter.yaml'\n"
    ) in words
    assert "python run_probes.py --threads 4\n" in words


def test_the_runner_measures_every_network_without_us(kit: Path, tmp_path: Path) -> None:
    command = [sys.executable, "run_probes.py", "--seconds", "0", "--threads", "1", "--out"]
    subprocess.run([*command, str(tmp_path / "times.csv")], cwd=kit, check=True)
    times = read_times(tmp_path / "times.csv", read_kit(kit).codes)
    assert len(times) == 6
    assert all(ms > 0 and spread >= 0 for ms, spread in times.values())
    text = (kit / "run_probes.py").read_text()
    assert "import torch" not in text
    assert "from nas" not in text

    wrong = [*command, "x.csv", "--provider", "NoSuchProvider"]
    done = subprocess.run(wrong, cwd=kit, capture_output=True, text=True, check=False)
    assert "has no 'NoSuchProvider'. It has:" in done.stderr


def test_times_that_come_back_predict_the_device(
    kit: Path, quarter: SearchSpace, target: Target, tmp_path: Path
) -> None:
    with pytest.raises(NotFittedError, match=f"--kit DIR --hardware {DEVICE}"):
        measured_predictor(quarter, target, DataShape(1, 10))
    times = _times(kit, quarter, tmp_path / "times.csv")
    import_times(times, kit, Subject(quarter, target, DataShape(1, 10)))
    predictor = predictor_for(quarter, target, DataShape(1, 10))
    assert isinstance(predictor, PartsPredictor)
    measured = read_times(times, read_kit(kit).codes)
    codes = np.array([read_kit(kit).codes[name] for name in measured])
    ms = [ms for ms, _ in measured.values()]
    assert predictor.predict(codes).ms == pytest.approx(ms, rel=0.1)
    assert "measured on Raspberry Pi 5" in str(predictor)
    assert "from 6 whole networks" in str(predictor)


def test_times_of_a_gpu_correct_what_is_predicted_for_it(
    quarter: SearchSpace, tmp_path: Path
) -> None:
    target = Target("jetson-orin", runtime="tensorrt", batch_size=2)
    codes = np.unique(quarter.sample(50, np.random.default_rng(0)), axis=0)
    (tmp_path / "kit").mkdir()
    kit = _written(tmp_path / "kit", quarter, codes)
    before = predictor_for(quarter, target, DataShape(1, 10))
    assert isinstance(before, GpuPredictor)
    ms = 1.4 * before.predict(codes).ms
    rows = "".join(f"{name},{t}\n" for name, t in zip(read_kit(kit).codes, ms, strict=True))
    (tmp_path / "times.csv").write_text(f"id,ms\n{rows}")
    import_times(tmp_path / "times.csv", kit, Subject(quarter, target, DataShape(1, 10)))
    after = predictor_for(quarter, target, DataShape(1, 10))
    assert isinstance(after, MeasuredGpuPredictor)
    assert after.predict(codes).ms == pytest.approx(ms, rel=0.03)
    assert after.interval_factor < before.interval_factor
    assert f"corrected by {len(codes)} networks measured on NVIDIA Jetson" in str(after)


def _written(folder: Path, space: SearchSpace, codes: Codes) -> Path:
    """A kit of these networks, without their ONNX files."""
    index = space.part_index(DataShape(1, 10))
    conditions = {
        **{"space": space.name, "parts": parts_hash(index), "in_channels": 1},
        **{"num_classes": 10, "batch_size": 2, "resolution": None},
    }
    probes = {space.decode(code).id: code.tolist() for code in codes}
    document = {"schema": 1, "conditions": conditions, "probes": probes}
    (folder / "kit.json").write_text(json.dumps(document))
    return folder


def test_a_kit_is_imported_for_what_it_was_written(
    kit: Path, quarter: SearchSpace, target: Target, space: SearchSpace, tmp_path: Path
) -> None:
    times = _times(kit, quarter, tmp_path / "times.csv")
    with pytest.raises(SettingsError, match="belong to another device, and 'cpu' is"):
        import_times(times, kit, Subject(quarter, Target("cpu", batch_size=2), DataShape(1, 10)))
    with pytest.raises(SettingsError, match=r"space quarter \(not minute\)"):
        import_times(times, kit, Subject(space, target, DataShape(1, 10)))
    with pytest.raises(SettingsError, match=r"batch size 2 \(not 1\)"):
        import_times(
            times, kit, Subject(quarter, Target(DEVICE, runtime="onnxruntime"), DataShape(1, 10))
        )
    with pytest.raises(SettingsError, match=r"in channels 1 \(not 3\), num classes 10 \(not 2\)"):
        import_times(times, kit, Subject(quarter, target, DataShape(3, 2)))
    wider = SearchSpace(
        read_definition(SPACE.replace("[8, 16]\n  depth", "[8, 24]\n  depth"), "quarter")
    )
    with pytest.raises(SettingsError, match="with other --resolutions, or as it was before"):
        import_times(times, kit, Subject(wider, target, DataShape(1, 10)))


def test_the_command_says_what_the_profile_rests_on(
    kit: Path, quarter: SearchSpace, tmp_path: Path
) -> None:
    (tmp_path / "quarter.yaml").write_text(SPACE)
    settings = Settings(
        space=str(tmp_path / "quarter.yaml"),
        hardware=DEVICE,
        runtime="onnxruntime",
        batch_size=2,
    )
    times = _times(kit, quarter, tmp_path / "times.csv")
    outcome = commands.import_times(settings, times, kit, console=Silent())
    assert "from 6 whole networks" in outcome.lines[0]
    assert outcome.document["target"]["device"] == DEVICE
    assert outcome.document["conditions"]["space"] == "quarter"
    assert commands.measure(settings, console=Silent()).lines == outcome.lines
    with pytest.raises(RunError, match="is not empty"):
        commands.write_kit(settings, kit, console=Silent())


def test_times_and_kit_are_looked_for_before_the_data_are_read(kit: Path, tmp_path: Path) -> None:
    settings = Settings(data="folder:nowhere", hardware=DEVICE, runtime="onnxruntime")
    with pytest.raises(SettingsError, match=r"Cannot read the times in .*none\.csv"):
        commands.import_times(settings, tmp_path / "none.csv", kit, console=Silent())
    with pytest.raises(CheckpointError, match=r"Cannot read .*kit\.json"):
        commands.import_times(settings, tmp_path / "none.csv", tmp_path, console=Silent())


KNOWN = dict.fromkeys("abcdef")
GOOD = "id,ms\na,1\nb,2\nc,3\nd,4\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no column 'id' and no 'ms'"),
        ("id,time\na,1\n", "names no column 'ms'"),
        (GOOD, "the times of 4 networks; at least 5 of the kit's 6"),
        (GOOD + "x,5\n", "1 mistake.*line 6: the kit has no network 'x'"),
        (GOOD + "a,5\n", "line 6: 'a' occurs twice"),
        (GOOD + "e,0\n", "line 6: ms is '0'; it has to be a positive number"),
        (GOOD + "e,-1\nf,fast\n", r"2 mistake.*'-1'.*line 7: ms is 'fast'"),
        (GOOD + "e,inf\nf,nan\n", r"2 mistake.*'inf'.*'nan'"),
        (GOOD + "e\n", "line 6: ms is None"),
        (GOOD + "e,1,5\n", "line 6: it has more cells than the first line"),
    ],
)
def test_wrong_times_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "times.csv").write_text(text)
    with pytest.raises(SettingsError, match=f"(?s){message}"):
        read_times(tmp_path / "times.csv", KNOWN)


def test_times_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    text = "\ufeffid, ms, phone\r\na, 1.5, x\r\n\r\n" + "".join(f"{c}, 2, x\r\n" for c in "bcde")
    (tmp_path / "times.csv").write_bytes(text.encode())
    assert read_times(tmp_path / "times.csv", KNOWN)["a"][0] == 1.5
    with pytest.raises(SettingsError, match="Cannot read the times in"):
        read_times(tmp_path / "none.csv", KNOWN)


def test_a_folder_that_is_in_use_is_left_alone(
    quarter: SearchSpace, target: Target, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(RunError, match="is not empty. Give --kit a new folder"):
        write_kit(tmp_path, Subject(quarter, target, DataShape(1, 10)), progress=Silent())


def test_a_kit_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Cannot read"):
        read_kit(tmp_path)
    (tmp_path / "kit.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(SettingsError, match="has schema 99; this version reads 1"):
        read_kit(tmp_path)
