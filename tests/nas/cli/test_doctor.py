"""What `nas doctor` finds, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import Result

from nas.cli.doctor import lines
from nas.commands.doctor import examination
from nas.errors import SettingsError
from nas.latency.timing.cuda import Gpu


def _said(gpus: Callable[[], Sequence[Gpu]], **more: object) -> str:
    return "\n".join(lines(examination(gpus, **more)))  # type: ignore[arg-type]


def test_the_command_prints_what_is_here(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", "/proc/nothing")
    found = json.loads(run("doctor", "--json").stdout)
    assert found["environment"]["packages"]["torch"]
    assert found["devices"]["cpu"]["model"]
    assert found["folders"][str(Path("results").absolute())] is True
    output = run("doctor").stdout
    for heading in ("Packages", "Devices", "Extras", "Folders"):
        assert f"\n{heading}\n" in output


def test_a_missing_extra_is_told_with_how_to_install_it() -> None:
    said = _said(list, extras={"ghost": ("no-such-package",)})
    assert "ghost: missing no-such-package; install with" in said
    assert "-e '.[ghost]'" in said


def test_gpus_are_told_with_their_name_in_the_list_of_hardware() -> None:
    here = [
        Gpu(0, "NVIDIA H200", "h200", 132, 143_771, 60.0, ""),
        Gpu(1, "NVIDIA L99", None, 9, 1000, 9.0, ""),
    ]
    devices = examination(lambda: here)["devices"]
    assert devices["cuda:0"] == {
        "name": "NVIDIA H200",
        "hardware": "h200",
        "memory_mib": 143_771,
    }
    assert devices["cuda:1"]["hardware"] is None
    said = _said(lambda: here)
    assert "cuda:0: name NVIDIA H200, hardware h200, memory mib 143771" in said
    assert "cuda:1: name NVIDIA L99, hardware none: `nas hardware add` takes" in said


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SettingsError("x.yaml: no title"), "gpus: error x.yaml: no title"),
        (RuntimeError("no driver"), "gpus: error no driver"),
        (ImportError("no libtorch"), "torch: error torch cannot be imported: no libtorch"),
    ],
)
def test_an_error_in_finding_gpus_is_a_finding(error: Exception, told: str) -> None:
    def fail() -> list[Gpu]:
        raise error

    assert told in _said(fail)
