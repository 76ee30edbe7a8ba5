from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from nas.cli.hardware_add import add
from nas.cluster.resources import RayChoice
from nas.cluster.trials import Manner, Tuning
from nas.run.folder import open_run
from nas.run.retraining import Retraining
from nas.settings import Settings

if TYPE_CHECKING:
    from conftest import Recorder


def test_a_search_without_options_has_the_default_settings(
    run: Callable[..., Result], called: Recorder
) -> None:
    assert run("search").exit_code == 0
    assert called.calls == [
        ("run", (Settings(),), {"out": None, "until": None, "ray": None, "journal": None})
    ]


def test_every_option_of_a_search_reaches_the_settings(
    run: Callable[..., Result], called: Recorder
) -> None:
    text = """search --hardware cpu --budget 5ms --space macro --data npz:/x.npz --searcher random
        --evaluations 50 --until search --out mine --seed 7 --metric balanced_accuracy
        --max-params 2M --max-macs 50M --max-memory 16MiB --runtime eager --precision fp32
        --layout contiguous --batch-size 4 --resolution 16 --threads 1 --epochs 3 --retrain-top 2
        --verify 8 --verify-epochs 7 --resolutions 16,32
        --retrain-epochs 5 --confidence 0.8 --from-scratch --recipe lr=0.1 --recipe ema=false
        --recipe name=x --layout-of-arrays NCHW --lag 8 --baselines lcnet_050 --baseline-epochs 2
        --pretrained none --teacher timm:resnet18 --unlabelled folder:/more"""
    result = run(*text.split())
    assert result.exit_code == 0, result.stderr
    settings = Settings(
        space="macro",
        data="npz:/x.npz",
        reading={"array_layout": "NCHW"},
        seed=7,
        hardware="cpu",
        runtime="eager",
        precision="fp32",
        layout="contiguous",
        batch_size=4,
        resolution=16,
        resolutions=(16, 32),
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
        verify=8,
        verify_epochs=7,
        retrain_top=2,
        retrain_epochs=5,
        from_scratch=True,
        lag=8,
        baselines=("lcnet_050",),
        baseline_epochs=2,
        pretrained="none",
        teacher="timm:resnet18",
        unlabelled="folder:/more",
    )
    assert called.calls == [
        (
            "run",
            (settings,),
            {"out": Path("mine"), "until": "search", "ray": None, "journal": None},
        )
    ]
    unchanged = {name for name, value in Settings() if value == getattr(settings, name)}
    assert unchanged == {"fine_tune"}  # it does not go with --from-scratch


@pytest.mark.parametrize(
    ("text", "name", "arguments", "options"),
    [
        ("resume r", "resume", (Path("r"),), {"ray": None, "journal": None}),
        ("report r", "report", (Path("r"),), {}),
        (
            "retrain r --top 3 --from-scratch --epochs 9 --seed 1",
            "retrain",
            (Path("r"),),
            {"top": 3, "how": Retraining(1, epochs=9, from_scratch=True), "ray": None},
        ),
        (
            "retrain r",
            "retrain",
            (Path("r"),),
            {"top": 1, "how": Retraining(), "ray": None},
        ),
        (
            "retrain r --recipe drop_path=0.1 --teacher largest --ray local --workers 4 "
            "--workers-per-network 2 --limit 2h --tune learning_rate=1e-3..1e-2,drop_path=0..0.2 "
            "--trials 8 --early-stop --storage s3://bucket/runs",
            "retrain",
            (Path("r"),),
            {
                "top": 1,
                "how": Retraining(
                    recipe={"drop_path": 0.1},
                    teacher="largest",
                    manner=Manner(2, 7200.0, early=True),
                    tuning=Tuning(
                        {"learning_rate": (1e-3, 1e-2), "drop_path": (0.0, 0.2)}, trials=8
                    ),
                ),
                "ray": RayChoice("local", 4, 4, storage="s3://bucket/runs"),
            },
        ),
        (
            "export r --format timm --format onnx --id ab",
            "export",
            (Path("r"),),
            {"formats": ("timm", "onnx"), "ids": ("ab",), "all_of_them": False},
        ),
        ("train --epochs 3", "train", (Settings(epochs=3),), {"ray": None}),
        (
            "train --ray auto --worker-gpus 1 --storage /mnt/shared",
            "train",
            (Settings(),),
            {"ray": RayChoice("auto", gpus=1.0, storage="/mnt/shared")},
        ),
        (
            "measure --threads 2",
            "measure",
            (Settings(threads=2),),
            {"seconds": None, "ray": None},
        ),
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
    called: Recorder,
    text: str,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    result = run(*text.split())
    assert result.exit_code == 0, result.stderr
    assert called.calls == [(name, arguments, options)]


def test_json_is_one_document_on_stdout_and_nothing_else(
    run: Callable[..., Result], called: Recorder
) -> None:
    assert json.loads(run("train", "--json").stdout) == {"a": "document"}
    result = run("search", "--json")
    document = json.loads(result.stdout)
    assert document["path"] == "results/one"
    assert document["front"][0]["latencies"] == [
        {
            "target": "cpu",
            "predicted_ms": 4.2,
            "low_ms": 3.9,
            "high_ms": 4.6,
            "measured_ms": 4.31,
        }
    ]
    assert "a fact" in result.stderr
    assert "what a library prints" in result.stderr


def test_a_front_is_a_table_that_calls_a_prediction_one(
    run: Callable[..., Result], called: Recorder
) -> None:
    output = run("resume", "one").stdout
    for part in (
        "predicted ms (90 %)",
        "4.2",
        "(3.9 to 4.6)",
        "4.31",
        "97.5%",
        "346k",
        "12M",
        "batch 1, 2 threads",
        "resized from 8 to 16 px",
        "Run: results/one",
        "Exported: results/one/networks/0123456789ab",
    ):
        assert part in output


def test_lines_are_printed_as_they_are(run: Callable[..., Result], called: Recorder) -> None:
    assert run("train").stdout == "a line\n"


def test_ls_says_how_far_each_run_has_come(run: Callable[..., Result]) -> None:
    assert "No runs in 'results'. Start one: nas search" in run("ls").stdout
    with open_run(Settings(budget_ms=5.0), Path("results/one")) as folder:
        folder.finish("space", seconds=0.1)
        output = run("ls").stdout
    for part in ("one", "cpu", "5 ms", "digits", "1 of 11 steps"):
        assert part in output
    (entry,) = json.loads(run("ls", "--json").stdout)
    assert entry["finished"] == ["space"]
    assert not entry["complete"]
    assert entry["settings"]["targets"][0]["budgets_ms"] == [5.0]


@pytest.mark.parametrize("file", ["settings.json", "steps.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]"])
def test_ls_lists_the_others_beside_a_damaged_run(
    run: Callable[..., Result], file: str, content: bytes
) -> None:
    for name in ("one", "two"):
        open_run(Settings(), Path("results") / name).close()
    Path("results/one", file).write_bytes(content)
    found = run("ls")
    assert found.exit_code == 0 and "0 of 11 steps" in found.stdout
    assert "cannot be read" in found.stdout and f"one/{file}" in found.stdout
    damaged = json.loads(run("ls", "--json").stdout)[-1]
    assert damaged["path"] == "results/one" and file in damaged["error"]


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
    _, text, board = inspect.getdoc(add).split("\b\n")  # type: ignore[union-attr]
    example = text.partition("\n\n")[0] + "\n"
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
    Path("pi5.yaml").write_text(board)
    assert "Added 'pi5' (Raspberry Pi 5)" in run("hardware", "add", "pi5.yaml").stdout


def test_mixers_lists_every_family_with_its_paper(run: Callable[..., Result]) -> None:
    families = json.loads(run("mixers", "--json").stdout)
    assert {"attention", "convolution"} <= {family["group"] for family in families}
    fields = {"role", "group", "name", "summary", "options", "paper"}
    assert fields | {"reference", "macs_per_token"} == families[0].keys()
    assert all(family["name"] and family["paper"].startswith("https://") for family in families)
    costed = [f for f in families if f["role"] == "mixer family" and f["macs_per_token"]]
    assert len(costed) > 40
    assert "attention" in run("mixers").stdout


def test_a_part_is_shown_with_its_equation_options_and_sharing(run: Callable[..., Result]) -> None:
    shown = run("mixers", "spatial_reduction", "--time").stdout
    for words in (
        "y = W_o * concat_h softmax(q_h(x) k_h(z)^T / sqrt(d)) v_h(z)",
        "Elastic: channels and heads",
        "8, 4, 2, 1",
        "Tested against: timm.models.pvt_v2.Attention",
        "Microseconds per token on one thread",
    ):
        assert words in shown
    (one,) = json.loads(run("mixers", "depthwise", "--json").stdout)
    assert one["nested"] == ["dim", "kernel"]
    assert one["macs_per_token"] == 64 * 9  # the default, a 3 x 3 kernel
    assert len(json.loads(run("mixers", "conv", "--json").stdout)) > 1  # stem, downsampling, head
    refused = run("mixers", "depthwize")
    assert refused.exit_code == 2
    assert "Did you mean 'depthwise'" in refused.stderr


def test_searchers_lists_evolution_and_random(run: Callable[..., Result]) -> None:
    names = [entry["name"] for entry in json.loads(run("searchers", "--json").stdout)]
    assert {"evolution", "random"} <= set(names)
    assert "evolution" in run("searchers").stdout


def test_spaces_lists_exact_sizes(run: Callable[..., Result]) -> None:
    sizes = {s["name"]: s["architectures"] for s in json.loads(run("spaces", "--json").stdout)}
    assert sizes["macro"] == 3**8
    assert "hybrid-tiny" in run("spaces").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--limit 2h", "--limit needs --ray local or --ray ADDRESS."),
        ("--ray local --trials 3", "--trials needs --tune."),
        ("--ray local --tune learning_rate=1e-3", "write NAME=LOW..HIGH for each value"),
        ("--ray local --tune drop_path=0.2..0.1", "write NAME=LOW..HIGH for each value"),
        ("--ray local --tune drop_path=0..1,drop_path=0..1", "for each value, once"),
        ("--storage /mnt", "--storage says how to work on a Ray cluster"),
    ],
)
def test_options_of_a_cluster_are_checked(
    run: Callable[..., Result], called: Recorder, text: str, said: str
) -> None:
    result = run("retrain", "r", *text.split())
    assert result.exit_code == 2 and said in result.stderr
    assert not called.calls
