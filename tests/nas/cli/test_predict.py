"""`nas predict` on whole networks; the numbers are the model's, tested elsewhere."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from torch import nn
from typer.testing import Result

from nas.latency import predictor_for
from nas.latency.gpu.model import shipped
from nas.latency.gpu.predictor import GpuModel
from nas.latency.profiles.calibrate_gpu import corrected
from nas.latency.profiles.profile import MeasuredNetworks, Subject
from nas.latency.target import Target
from nas.result import FrontMember, Latency
from nas.search.front_file import write_front
from nas.search.objectives import Budgets
from nas.settings import Settings
from nas.timm_library import shapes_only
from search_spaces import Architecture, SearchSpace, load_space
from search_spaces.data_shape import DataShape

Run = Callable[..., Result]
SMALL = """
schema: 1
name: small
resolution: 16
stem: [conv: {stride: [1, 2]}]
stages:
- {width: [8, 16], depth: [0, 1], mixers: [pool]}
"""
FIELDS = {
    *("network", "target", "latency_ms", "low_ms", "high_ms", "confidence", "throughput_img_s"),
    *("basis", "rests_on", "memory_mib", "energy_mj_at_most", "device_ms", "host_ms", "kernels"),
}


def _document(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("predict", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _refused(run: Run, *arguments: str) -> str:
    result = run("predict", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def architecture() -> Architecture:
    space = load_space("hybrid-tiny")
    return space.decode(space.sample(1, np.random.default_rng(0))[0])


def test_a_timm_model_is_predicted_for_a_gpu(run: Run) -> None:
    text = "timm:resnet18 --hardware a100 --batch-size 4 --precision amp --runtime compile"
    found = _document(run, *text.split())
    assert found.keys() == FIELDS
    assert found["target"] == {
        "device": "a100",
        "runtime": "compile",
        "precision": "amp",
        "layout": "channels_last",
        "batch_size": 4,
        "resolution": 224,
        "threads": None,
    }
    assert 0 < found["low_ms"] < found["latency_ms"] < found["high_ms"]
    assert found["throughput_img_s"] == pytest.approx(4000 / found["latency_ms"])
    assert found["confidence"] == 0.9
    assert sum(found["kernels"].values()) == pytest.approx(found["device_ms"])
    target = Target("a100", runtime="compile", precision="amp", batch_size=4)
    whole = GpuModel(target).network(shapes_only("resnet18"), (4, 3, 224, 224))
    assert found["latency_ms"] == pytest.approx(float(whole.prediction.ms[0]))


def test_what_is_printed_is_called_a_prediction(run: Run) -> None:
    output = run("predict", "timm:resnet18", "--hardware", "a100").stdout
    first, *facts = output.splitlines()
    assert first.startswith("timm:resnet18: predicted ")
    assert "90 % interval" in first
    assert [line.split()[0] for line in facts] == ["target", "rests", "takes", "memory", "energy"]
    assert "a100 (eager, fp16, channels_last, batch 1, resolution 224 px)" in output


def test_explained_is_where_the_time_goes(run: Run) -> None:
    arguments = ("timm:resnet18", "--hardware", "a100", "--explain")
    found = _document(run, *arguments)
    assert found.keys() == {*FIELDS, "launches"}
    ms = [launch["ms"] for launch in found["launches"]]
    assert len(ms) == 10
    assert ms == sorted(ms, reverse=True)
    assert found["launches"][0].keys() == {"kind", "count", "ms", "bound", "sizes"}
    output = run("predict", *arguments).stdout
    for part in ("Predicted on the device", "Its costliest kernels, as predicted", "bound by"):
        assert part in output
    for kind in found["kernels"]:
        assert kind in output


def test_a_resolution_and_the_data_change_a_timm_model(run: Run) -> None:
    arguments = ("timm:vit_tiny_patch16_224", "--hardware", "a100", "--batch-size", "64")
    own, larger = _document(run, *arguments), _document(run, *arguments, "--resolution", "448")
    assert larger["target"]["resolution"] == 448
    assert larger["device_ms"] > own["device_ms"]
    fewer = _document(run, *arguments, "--data", "digits")  # ten classes, one channel
    assert fewer["memory_mib"] < own["memory_mib"]


def test_a_higher_confidence_has_a_wider_interval(run: Run) -> None:
    arguments = ("timm:resnet18", "--hardware", "a100", "--confidence")
    low, high = _document(run, *arguments, "0.5"), _document(run, *arguments, "0.95")
    assert low["latency_ms"] == high["latency_ms"]
    assert low["high_ms"] < high["high_ms"]
    assert "less than or equal to 0.98" in _refused(run, *arguments, "1")


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_an_architecture_file_is_predicted_for_a_gpu(
    run: Run, architecture: Architecture, suffix: str
) -> None:
    write = {"yaml": yaml.safe_dump, "json": json.dumps}[suffix]
    Path(f"a.{suffix}").write_text(write(architecture.to_dict()))
    found = _document(run, f"a.{suffix}", "--hardware", "h100")
    assert found.keys() == {*FIELDS, "id"}
    assert found["id"] == architecture.id
    assert found["target"]["resolution"] == architecture.resolution
    output = run("predict", f"a.{suffix}", "--hardware", "h100").stdout
    assert output.startswith(f"{architecture.id}: predicted ")
    again = _document(
        run, f"a.{suffix}", "--hardware", "h100", "--resolution", str(architecture.resolution)
    )
    assert again == found
    assert "leave --resolution out" in _refused(
        run, f"a.{suffix}", "--hardware", "h100", "--resolution", "999"
    )


def test_a_member_of_a_run_is_named_in_two_ways(run: Run, architecture: Architecture) -> None:
    folder = Path("results/one")
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(Settings(data="npz:/nowhere.npz").to_json())
    assert "'results/one' has no front yet" in _refused(run, "one/ab", "--hardware", "a100")
    latency = Latency("cpu", 1.0, 0.9, 1.1)
    member = FrontMember(architecture.id, (0,), architecture, 0.9, 0.9, 0.1, (latency,), 1, 1, 1.0)
    write_front(
        folder / "front.json",
        [member],
        budgets=Budgets(),
        metric="accuracy",
        evaluations=1,
        supernet="s",
        targets=[],
        data="d",
    )
    found = [
        _document(run, f"{name}{architecture.id}", "--hardware", "a100")
        for name in ("one/", "one:", "results/one/", "results/one:")
    ]
    assert {one.pop("network") for one in found} == {
        f"{name}{architecture.id}" for name in ("one/", "one:", "results/one/", "results/one:")
    }
    assert all(one == found[0] for one in found)
    stderr = _refused(run, "one:ab", "--hardware", "a100")
    assert f"no 'ab' on the front of 'results/one'. There are: {architecture.id}." in stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timm:resnet5O", "timm has no model 'resnet5O'. Did you mean 'resnet50'?"),
        (
            "timm:resnet50.a1_in2k",
            "Unknown pretrained tag of resnet50 'a1_in2k'. Did you mean 'a1",
        ),
        ("resnet50", "There is no file 'resnet50'. Write timm:resnet50 for a model of timm"),
        ("none.yaml", "There is no architecture file 'none.yaml'"),
        ("none/ab", "There is no run in 'none'"),
        (
            "timm:levit_128 --resolution 100",
            "'timm:levit_128' does not run on images of 100 x 100 px (",
        ),
        ("published:swin", "Unknown published network 'swin'"),
        ("timm:resnet18 --hardware v100 --precision bf16", "v100 has no precision 'bf16'"),
        (
            "timm:resnet18 --hardware cpu --explain",
            "without kernels to explain. Leave out --explain",
        ),
    ],
)
def test_what_cannot_be_predicted_says_what_can(run: Run, text: str, message: str) -> None:
    assert message in _refused(run, "--hardware", "a100", *text.split())


def test_a_published_network_is_predicted_as_the_model_of_timm_that_it_is(run: Run) -> None:
    text = "--hardware a100 --batch-size 4 --runtime eager"
    own = _document(run, "published:mobilenetv2_100", *text.split())
    theirs = _document(run, "timm:mobilenetv2_100", *text.split())
    assert own.keys() == FIELDS
    assert own["network"] == "published:mobilenetv2_100"
    assert own["latency_ms"] == pytest.approx(theirs["latency_ms"], rel=0.05)
    smaller = "published:swin_tiny_patch4_window7_224 --resolution 112 --data digits"
    assert _document(run, *smaller.split(), *text.split())["target"]["resolution"] == 112


def test_a_model_of_timm_is_predicted_here_from_its_operations(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [(nn.Sequential(nn.Conv2d(3, n, 3), nn.ReLU()), (1, 3, 12, 12)) for n in (8, 12, 20)]
    monkeypatch.setattr(
        "nas.latency.operations.predictor.reference_networks", lambda target: small
    )
    found = _document(run, "timm:test_resnet", "--resolution", "64", "--threads", "1")
    assert found["low_ms"] < found["latency_ms"] < found["high_ms"]
    assert found["basis"] == "measured"
    assert "fitted to 3 whole networks" in found["rests_on"]
    assert found["target"]["resolution"] == 64
    published = "published:mobilenetv2_100 --resolution 32 --threads 1"
    assert _document(run, *published.split())["latency_ms"] > 0
    arguments = ("timm:test_resnet", "--resolution", "64", "--threads", "1", "--confidence")
    sure = _document(run, *arguments, "0.95")
    assert sure["confidence"] == 0.95
    assert sure["latency_ms"] == found["latency_ms"]
    assert sure["high_ms"] > found["high_ms"]


def test_an_architecture_is_predicted_from_times_that_were_imported_for_its_gpu(run: Run) -> None:
    Path("small.yaml").write_text(SMALL)
    space, target = load_space("small.yaml"), Target("jetson-orin", batch_size=2)
    architecture = space.decode(space.smallest())
    Path("a.yaml").write_text(yaml.safe_dump(architecture.to_dict()))
    arguments = ("a.yaml", "--space", "small.yaml", "--hardware", "jetson-orin", "--batch-size")
    assert _document(run, *arguments, "2")["basis"] != "measured"
    plain = predictor_for(space, target, DataShape(1, 10)).predict(space.smallest()[None])
    _import_times(space, target, slower=1.4)
    found = _document(run, *arguments, "2")
    predicted = predictor_for(space, target, DataShape(1, 10)).predict(space.smallest()[None])
    assert predicted.ms == pytest.approx(1.4 * plain.ms, rel=0.03)
    assert found["basis"] == "measured"
    assert "measured on NVIDIA Jetson" in found["rests_on"]
    assert found["latency_ms"] == pytest.approx(float(predicted.ms[0]))
    assert _document(run, *arguments, "3")["basis"] != "measured"
    explained = _document(run, *arguments, "2", "--explain")
    assert (explained["basis"], bool(explained["launches"])) == ("corrected", True)
    arguments = (*arguments, "2", "--measured", "rtx3090=1ms")
    assert "carried over" in _document(run, *arguments)["rests_on"]


def test_networks_of_timm_are_corrected_by_what_was_measured_under_their_target(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("small.yaml").write_text(SMALL)
    arguments = ("timm:resnet18", "--hardware", "jetson-orin", "--batch-size", "2")
    before = _document(run, *arguments)
    _import_times(load_space("small.yaml"), Target("jetson-orin", batch_size=2), slower=1.4)
    after = _document(run, *arguments)
    assert before["basis"] == "device"
    assert after["basis"] == "corrected"
    assert after["rests_on"].startswith("predicted from kernels, corrected by 8 other networks")
    assert after["latency_ms"] == pytest.approx(1.4 * before["latency_ms"], rel=0.1)
    assert after["high_ms"] / after["latency_ms"] < before["high_ms"] / before["latency_ms"]
    assert _document(run, *arguments, "--precision", "bf16")["basis"] == "device"
    carried = _document(run, *arguments, "--measured", "rtx3090=1ms")
    assert "measured on rtx3090, carried over" in carried["rests_on"]
    said = _refused(run, "timm:resnet18", "--hardware", "h100", "--precision", "bf16",
                    "--measured", "v100=3ms")  # fmt: skip
    assert said.startswith("v100 has no precision 'bf16'") and "--resolution" not in said
    (profile,) = (Path("cache") / "latency").glob("jetson-orin-????????????????.json")
    profile.write_text(profile.read_text().replace("launches", "launchez"))
    assert "was changed after it was written" in _refused(run, *arguments)


def _import_times(space: SearchSpace, target: Target, slower: float) -> None:
    """What `nas measure --import` leaves in the cache."""
    codes = np.unique(space.sample(50, np.random.default_rng(0)), axis=0)
    ms = slower * np.array(predictor_for(space, target, DataShape(1, 10)).predict(codes).ms)
    subject = Subject(space, target, DataShape(1, 10))
    conditions = subject.conditions({"model": "NVIDIA Jetson"})
    measured = MeasuredNetworks(codes, ms, ms[:, None], 0 * ms)
    corrected(subject, measured, conditions, math.inf).save(subject.path)


def test_a_pretrained_tag_is_part_of_a_name(run: Run) -> None:
    found = _document(run, "timm:resnet18.a1_in1k", "--hardware", "a100")
    assert found["network"] == "timm:resnet18.a1_in1k"


def test_what_no_device_was_measured_in_is_not_validated(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {**shipped().conditions, "devices": [], "runtimes": []}
    model = dataclasses.replace(shipped(), conditions=nothing)
    monkeypatch.setattr("nas.latency.gpu.predictor.shipped", lambda: model)
    found = _document(run, "timm:resnet18", "--hardware", "a100")
    assert found["basis"] == "runtime"
    assert found["rests_on"] == "not validated: eager was measured on no device"
    output = run("predict", "timm:resnet18", "--hardware", "a100").stdout
    assert "rests on  not validated: eager was measured on no device" in output


def test_a_network_that_does_not_fit_the_device_is_told(run: Run) -> None:
    arguments = ("timm:vit_tiny_patch16_224", "--hardware", "t4", "--batch-size", "65536")
    assert "more than the 16 GiB that the device has" in run("predict", *arguments).stdout
