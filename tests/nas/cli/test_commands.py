from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from nas.cli.hardware import add
from nas.errors import SettingsError
from nas.latency.timing import cuda
from nas.latency.timing.cuda import Gpu
from nas.result import RunResult
from nas.run.folder import open_run
from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import FakePipeline


def test_a_search_without_options_has_the_default_settings(
    run: Callable[..., Result], pipeline: FakePipeline, found: RunResult
) -> None:
    pipeline.result = found
    assert run("search").exit_code == 0
    assert pipeline.calls == [("run", (Settings(),), {"out": None, "until": None})]


def test_every_option_of_a_search_reaches_the_settings(
    run: Callable[..., Result], pipeline: FakePipeline, found: RunResult
) -> None:
    pipeline.result = found
    text = """search --hardware cpu --budget 5ms --space macro --data npz:/x.npz --searcher random
        --evaluations 50 --until search --out mine --seed 7 --metric balanced_accuracy
        --max-params 2M --max-macs 50M --max-memory 16MiB --runtime eager --precision float32
        --layout contiguous --batch-size 4 --resolution 16 --threads 1 --epochs 3 --retrain-top 2
        --retrain-epochs 5 --confidence 0.8 --from-scratch --recipe lr=0.1 --recipe ema=false
        --recipe name=x"""
    result = run(*text.split())
    assert result.exit_code == 0, result.stderr
    settings = Settings(
        space="macro",
        data="npz:/x.npz",
        seed=7,
        hardware="cpu",
        runtime="eager",
        precision="float32",
        layout="contiguous",
        batch_size=4,
        resolution=16,
        threads=1,
        confidence=0.8,
        budget_ms=5.0,
        max_macs=50_000_000,
        max_params=2_000_000,
        max_memory_mib=16.0,
        searcher="random",
        evaluations=50,
        metric="balanced_accuracy",
        epochs=3,
        recipe={"lr": 0.1, "ema": False, "name": "x"},
        retrain_top=2,
        retrain_epochs=5,
        from_scratch=True,
    )
    assert pipeline.calls == [("run", (settings,), {"out": Path("mine"), "until": "search"})]
    unchanged = {name for name, value in Settings() if value == getattr(settings, name)}
    assert unchanged == {"lag"}


@pytest.mark.parametrize(
    ("text", "name", "arguments", "options"),
    [
        ("resume r", "resume", (Path("r"),), {}),
        ("report r", "report", (Path("r"),), {}),
        (
            "retrain r --top 3 --from-scratch --epochs 9 --seed 1",
            "retrain",
            (Path("r"),),
            {"top": 3, "from_scratch": True, "epochs": 9, "seed": 1},
        ),
        (
            "retrain r",
            "retrain",
            (Path("r"),),
            {"top": 1, "from_scratch": False, "epochs": None, "seed": None},
        ),
        (
            "export r --format timm --format onnx --id ab",
            "export",
            (Path("r"),),
            {"formats": ("timm", "onnx"), "ids": ("ab",)},
        ),
        ("train --epochs 3", "train", (Settings(epochs=3),), {}),
        ("measure --threads 2", "measure", (Settings(threads=2),), {"seconds": None}),
        (
            "predict r/ab --batch-size 8",
            "predict",
            ("r/ab", Settings(batch_size=8)),
            {"confidence": 0.9, "explain": False, "measured": None},
        ),
    ],
)
def test_a_command_makes_one_call(
    run: Callable[..., Result],
    pipeline: FakePipeline,
    found: RunResult,
    text: str,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    if name in ("resume", "retrain"):
        pipeline.result = found
    result = run(*text.split())
    assert result.exit_code == 0, result.stderr
    assert pipeline.calls == [(name, arguments, options)]


def test_json_is_one_document_on_stdout_and_nothing_else(
    run: Callable[..., Result], pipeline: FakePipeline, found: RunResult
) -> None:
    assert json.loads(run("train", "--json").stdout) == {"a": "document"}
    pipeline.result = found
    result = run("search", "--json")
    document = json.loads(result.stdout)
    assert document["path"] == "results/one"
    assert document["front"][0]["measured_ms"] == 4.31
    assert "a fact" in result.stderr
    assert "what a library prints" in result.stderr


def test_a_front_is_a_table_that_calls_a_prediction_one(
    run: Callable[..., Result], pipeline: FakePipeline, found: RunResult
) -> None:
    pipeline.result = found
    output = run("resume", "one").stdout
    for part in (
        "predicted ms (90 %)",
        "4.2 (3.9 to 4.6)",
        "4.31",
        "97.50%",
        "346k",
        "12M",
        "batch 1, 2 threads",
        "resized from 8 to 16 px",
        "Run: results/one",
        "Exported: results/one/networks/0123456789ab",
    ):
        assert part in output


def test_lines_are_printed_as_they_are(run: Callable[..., Result], pipeline: FakePipeline) -> None:
    assert run("train").stdout == "a line\n"


def test_ls_says_how_far_each_run_has_come(run: Callable[..., Result]) -> None:
    assert "No runs in 'results'. Start one: nas search" in run("ls").stdout
    with open_run(Settings(budget_ms=5.0), Path("results/one")) as folder:
        folder.finish("space", seconds=0.1)
        output = run("ls").stdout
    for part in ("one", "cpu", "5 ms", "digits", "1 of 8 steps"):
        assert part in output
    (entry,) = json.loads(run("ls", "--json").stdout)
    assert entry["finished"] == ["space"]
    assert not entry["complete"]
    assert entry["settings"]["targets"][0]["budgets_ms"] == [5.0]


def test_ls_says_every_target_with_its_budgets(run: Callable[..., Result]) -> None:
    targets = [{"hardware": "a100", "budgets_ms": [2, 10]}, {}]
    open_run(Settings(targets=targets), Path("results/two")).close()
    output = run("ls").stdout
    assert "a100 + cpu" in output
    assert "2 ms, 10 ms + -" in output


def test_hardware_describes_this_cpu(run: Callable[..., Result]) -> None:
    entry = json.loads(run("hardware", "cpu", "--json").stdout)
    assert entry["name"] == "cpu"
    assert entry["model"]
    assert entry["usable_threads"] >= 1
    assert entry["predictions_rest_on"] == "measured here"
    assert "model: " in run("hardware", "CPU").stdout


def test_hardware_lists_every_device(run: Callable[..., Result]) -> None:
    listed = json.loads(run("hardware", "--json").stdout)
    assert [entry["name"] for entry in listed][:3] == ["cpu", "a10", "a100"]
    assert len(listed) == 24
    table = run("hardware").stdout
    for part in ("rtx-pro-6000-max-q", "NVIDIA A100 SXM4 80 GB", "eager, fp16", "measured here"):
        assert part in table


def test_hardware_shows_each_number_with_its_source(run: Callable[..., Result]) -> None:
    numbers = json.loads(run("hardware", "--json", "RTX 4090").stdout)["numbers"]
    assert numbers["tflops.fp16"] == {
        "value": 165.2,
        "source": "NVIDIA Ada GPU Architecture whitepaper V2.1 (RTX 4090)",
    }
    shown = run("hardware", "v100").stdout
    for part in ("precisions: fp16, amp, fp32", "bandwidth_gb_s", "900", "V100 GPU Architecture"):
        assert part in shown


def test_a_device_of_ones_own_is_added_from_the_example_in_the_help(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CONFIG_DIR", "config")
    example = inspect.getdoc(add).split("\b\n")[1]  # type: ignore[union-attr]
    Path("rtx4080.yaml").write_text(example)
    added = run("hardware", "add", "rtx4080.yaml")
    assert "Added 'rtx4080' (NVIDIA GeForce RTX 4080)" in added.stdout
    assert "Predictions rest on: specification only." in added.stdout
    assert Path("config/devices/rtx4080.yaml").read_text() == example
    assert json.loads(run("hardware", "rtx4080", "--json").stdout)["numbers"]["sms"]["value"] == 76
    refused = run("hardware", "add", "rtx4080.yaml")
    assert refused.exit_code == 2
    assert "There is a device 'rtx4080' already" in refused.stderr
    replaced = run("hardware", "add", "rtx4080.yaml", "--force", "--json")
    assert json.loads(replaced.stdout)["file"].endswith("config/devices/rtx4080.yaml")


def test_mixers_lists_every_family_with_its_paper(run: Callable[..., Result]) -> None:
    families = json.loads(run("mixers", "--json").stdout)
    assert {"attention", "convolution"} <= {family["group"] for family in families}
    assert {"role", "group", "name", "summary", "options", "paper"} == families[0].keys()
    assert "attention" in run("mixers").stdout


def test_searchers_lists_evolution_and_random(run: Callable[..., Result]) -> None:
    names = [entry["name"] for entry in json.loads(run("searchers", "--json").stdout)]
    assert {"evolution", "random"} <= set(names)
    assert "evolution" in run("searchers").stdout


def test_spaces_lists_exact_sizes(run: Callable[..., Result]) -> None:
    sizes = {s["name"]: s["architectures"] for s in json.loads(run("spaces", "--json").stdout)}
    assert sizes["macro"] == 3**8
    assert "hybrid-tiny" in run("spaces").stdout


def test_doctor_finds_what_is_here_and_says_how_to_install_what_is_not(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", "/proc/nothing")
    found = json.loads(run("doctor", "--json").stdout)
    assert found["environment"]["packages"]["torch"]
    assert found["devices"]["cpu"]["model"]
    assert found["folders"][str(Path("results").absolute())] is True
    monkeypatch.setattr("nas.cli.doctor.EXTRAS", {"ghost": ("no-such-package",)})
    output = run("doctor").stdout
    assert "ghost: missing no-such-package; install with" in output
    assert "-e '.[ghost]'" in output


def test_doctor_says_what_hardware_calls_the_gpus_at_hand(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [
        Gpu(0, "NVIDIA H200", "h200", 132, 143_771, 60.0, ""),
        Gpu(1, "NVIDIA L99", None, 9, 1000, 9.0, ""),
    ]
    monkeypatch.setattr(cuda, "gpus", lambda: here)
    devices = json.loads(run("doctor", "--json").stdout)["devices"]
    h200 = {"name": "NVIDIA H200", "hardware": "h200", "memory_mib": 143_771}
    assert devices["cuda:0"] == h200
    output = run("doctor").stdout
    assert "cuda:0: name NVIDIA H200, hardware h200, memory mib 143771" in output
    assert devices["cuda:1"]["hardware"] is None
    assert "cuda:1: name NVIDIA L99, hardware none: `nas hardware add` takes" in output


@pytest.mark.parametrize("error", [SettingsError("x.yaml: no title"), RuntimeError("no driver")])
def test_doctor_finds_what_is_wrong_with_the_gpus(
    error: Exception, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[Gpu]:
        raise error

    monkeypatch.setattr(cuda, "gpus", fail)
    assert f"gpus: error {error}" in run("doctor").stdout


def test_doctor_finds_a_torch_that_cannot_be_imported(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, cuda.__name__)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch: error torch cannot be imported: import of torch" in run("doctor").stdout
