"""Device files: those that come with nas are sound, and wrong ones are refused with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nas.errors import SettingsError, UnknownNameError
from nas.latency.devices import Device, add, basis, check, known
from nas.latency.devices.file import read_device
from nas.latency.devices.folder import SHIPPED, own_folder, plain

GOOD = """
title: A board
aliases: [the board]
kind: gpu
architecture: ada
host: workstation
tflops: {fp32: 10, fp16: 40.5}
bandwidth_gb_s: 500
l2_mib: 32
memory_gib: 16
sms: 40
boost_mhz: 2500
power_w: 200
sources:
  the datasheet: [tflops.fp32, tflops.fp16, bandwidth_gb_s, l2_mib]
  the whitepaper: [memory_gib, sms, boost_mhz, power_w]
"""
SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
FP32_LANES = {"pascal": 64, "volta": 64, "turing": 64, "ampere": 128, "maxwell": 128}
"""Lanes per multiprocessor, from the CUDA programming guide; later architectures have 128."""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config" / "devices"


def write(folder: Path, name: str, text: str = GOOD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_every_shipped_file_is_a_known_device() -> None:
    assert SHIPPED_NAMES
    assert known() == ("cpu", *SHIPPED_NAMES)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_shipped_device_is_plausible(name: str) -> None:
    device = check(name)
    assert device.name == name
    assert device.layouts == ("channels_last", "channels_first")
    assert device.precisions[0] == "fp16"
    assert device.runtimes[0] == "eager"
    assert set(device.numbers) == set(device.sources)
    assert len(device.numbers) == 6 + len(device.tflops)
    lanes = 64 if name.startswith(("a100", "a30")) else FP32_LANES.get(device.architecture, 128)
    peak = 2 * lanes * device.sms * device.boost_mhz / 1e6
    assert device.tflops["fp32"] == pytest.approx(peak, rel=0.02)
    assert device.tflops["fp16"] >= device.tflops["fp32"]
    assert device.tflops.get("bf16", device.tflops["fp16"]) == device.tflops["fp16"]
    assert device.tflops.get("tf32", 0) <= device.tflops["fp16"]
    assert basis(device) == "specification only" or "public data" in basis(device)


def test_no_two_shipped_devices_are_called_the_same() -> None:
    names = [name for d in map(check, known()) for name in (d.name, *d.aliases)]
    assert len({plain(name) for name in names}) == len(names)


def test_precisions_are_those_that_the_chip_has() -> None:
    assert check("a100").precisions == ("fp16", "amp", "bf16", "tf32", "fp32")
    assert check("v100").precisions == check("t4").precisions == ("fp16", "amp", "fp32")
    for lacking in ("", ", fp16: null"):
        text = GOOD.replace(", fp16: 40.5", lacking).replace(", tflops.fp16", "")
        device = read_device(text, "board", "board.yaml")
        assert device.precisions == ("fp32",)
        assert "tflops.fp16" not in device.numbers


def test_geforce_peaks_accumulate_in_32_bits() -> None:
    # Whitepapers GA102 V2.0, Ada V2.1 and RTX Blackwell V1.1, tables of the flagship boards.
    peaks = [check(name).tflops["fp16"] for name in ("rtx3090", "rtx4090", "rtx5090")]
    assert peaks == [71, 165.2, 209.5]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("A100", "a100"),
        ("a100-80gb", "a100"),
        ("rtx-4090", "rtx4090"),
        ("rtx_4090", "rtx4090"),
        ("RTX 4090", "rtx4090"),
        ("4090", "rtx4090"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("CPU", "cpu"),
    ],
)
def test_a_name_may_be_written_in_many_ways(written: str, name: str) -> None:
    assert check(written).name == name


def test_an_unknown_device_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown hardware 'rtx409'. Did you mean 'rtx4090'"
    ):
        check("rtx409")


def test_a_file_is_read_whole() -> None:
    device = read_device(GOOD, "board", "board.yaml")
    assert isinstance(device, Device)
    assert device.tflops == {"fp32": 10, "fp16": 40.5}
    assert (device.bandwidth_gb_s, device.l2_mib, device.memory_gib) == (500, 32, 16)
    assert (device.sms, device.boost_mhz, device.power_w) == (40, 2500, 200)
    assert (device.kind, device.host, device.architecture) == ("gpu", "workstation", "ada")
    assert device.sources["tflops.fp16"] == "the datasheet"
    assert device.sources["sms"] == "the whitepaper"
    assert hash(device)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("sms: 40\n", "", "sms: is missing; give the number of streaming multiprocessors"),
        ("s: 500", "s: -5", "bandwidth_gb_s: input should be greater than 0 (it is -5); give the"),
        ("s: 500", "s: fast", "bandwidth_gb_s: input should be a valid number (it is 'fast')"),
        ("s: 500", "s: '500'", "bandwidth_gb_s: input should be a valid number (it is '500')"),
        ("s: 500", "s: .inf", "bandwidth_gb_s: input should be a finite number (it is inf)"),
        ("s: 500", "s: yes", "bandwidth_gb_s: input should be a valid number (it is True)"),
        ("sms: 40", "sms: 40.5", "sms: input should be a valid integer"),
        ("fp32: 10, ", "", "tflops.fp32: is missing; give the peak without tensor cores"),
        ("fp16: 40.5", "fp16: 0", "tflops.fp16: input should be greater than 0 (it is 0); give a"),
        ("fp16: 40", "fp18: 40", "tflops.fp18: there is no such field. Did you mean 'tflops.fp1"),
        ("{fp32: 10, fp16: 40.5}", "10", "tflops: input should be a valid dictionary (it is 10)"),
        ("fp16: 40", "1: 40", "tflops[1]: there is no such field"),
        ("l2_mib: 32", "l2_mb: 32", "l2_mb: there is no such field. Did you mean 'l2_mib'?"),
        (
            "kind: gpu",
            "kind: cpu",
            "kind: input should be 'gpu' (it is 'cpu'); give 'gpu', or 'board'",
        ),
        ("workstation", "laptop", "host: input should be 'server', 'workstation' or 'embedded'"),
        (
            "kind: gpu",
            "kind: gpu\nruntimes: [tensort]",
            "runtimes[0]: input should be 'eager', 'co",
        ),
        (
            "kind: gpu",
            "kind: gpu\nkind: gpu",
            "line 4, kind: stands here and on line 5; keep one",
        ),
        (", power_w", "", "power_w: has no source; list it under 'sources', after the document"),
        ("tflops.fp32, ", "", "tflops.fp32: has no source"),
        ("[memory_gib", "[memory", "'the whitepaper' names 'memory', no number of this file. Did"),
        (
            "[memory_gib",
            "[l2_mib, memory_gib",
            "both 'the datasheet' and 'the whitepaper' name l2",
        ),
        ("the datasheet:", "'':", "sources..[key]: string should have at least 1 character"),
    ],
)
def test_a_mistake_names_the_file_the_field_and_what_to_do(
    right: str, wrong: str, message: str
) -> None:
    assert right in GOOD
    with pytest.raises(SettingsError, match=re.escape(message)) as raised:
        read_device(GOOD.replace(right, wrong), "board", "mine/board.yaml")
    assert "The device file 'mine/board.yaml' has" in str(raised.value)


def test_all_mistakes_are_reported_together() -> None:
    text = (
        GOOD.replace("sms: 40", "sms: many").replace("l2_mib: 32\n", "").replace("kind: gpu", "")
    )
    with pytest.raises(SettingsError, match=r"has 4 mistake\(s\)"):  # l2_mib still has a source
        read_device(text, "board", "board.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "is not valid YAML"),
        ("a: &a [*a]\n? [1]\n: 2", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
        ("\x00", "is not valid YAML"),
        ("", "holds no fields; `nas hardware add --help` shows them"),
        ("- a\n- b\n", "holds no fields"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_device(text, "board", "board.yaml")


@pytest.mark.parametrize("name", ["My Board", "board_1", "-board", "board--1", "..", "Board"])
def test_a_files_name_has_to_be_a_devices(name: str) -> None:
    with pytest.raises(SettingsError, match="use small letters, digits and single hyphens"):
        read_device(GOOD, name, "file")


def test_a_device_of_ones_own_is_known_once_added(tmp_path: Path, config: Path) -> None:
    assert add(write(tmp_path, "my-board")) == config / "my-board.yaml"
    assert "my-board" in known()
    assert check("MY BOARD") == check("the board")
    assert check("my-board").bandwidth_gb_s == 500
    assert basis(check("my-board")) == "specification only"


def test_adding_again_replaces_only_when_told_to(tmp_path: Path) -> None:
    path = write(tmp_path, "my-board")
    add(path)
    with pytest.raises(SettingsError, match="There is a device 'my-board' already.*--force"):
        add(path)
    write(tmp_path, "my-board", GOOD.replace("s: 500", "s: 600"))
    add(path, force=True)
    assert check("my-board").bandwidth_gb_s == 600


@pytest.mark.parametrize(
    ("name", "alias", "owner"),
    [
        ("a100", "x", "a100"),
        ("rtx-4090", "x", "rtx4090"),
        ("a100-80gb", "x", "a100"),
        ("cpu", "x", "cpu"),
        ("board", "H100", "h100"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    tmp_path: Path, config: Path, name: str, alias: str, owner: str
) -> None:
    path = write(tmp_path, name, GOOD.replace("the board", alias))
    with pytest.raises(SettingsError, match=f"already means the device '{owner}'"):
        add(path, force=True)
    assert not config.exists()


def test_a_wrong_file_is_not_added(tmp_path: Path, config: Path) -> None:
    with pytest.raises(SettingsError, match="has 1 mistake"):
        add(write(tmp_path, "board", GOOD.replace("sms: 40", "sms: 0")))
    with pytest.raises(SettingsError, match="Cannot read the device file"):
        add(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="Cannot read the device file"):
        add(tmp_path / "binary.yaml")
    assert not config.exists()


@pytest.mark.parametrize("name", ["a100", "RTX_4090", "cpu"])
def test_a_shipped_device_is_never_shadowed(config: Path, name: str) -> None:
    path = write(config, name)
    with pytest.raises(SettingsError, match=f"'{path}' has the name of another device"):
        known()


def test_an_alias_of_two_devices_is_refused(config: Path) -> None:
    write(config, "one")
    write(config, "two")
    with pytest.raises(SettingsError, match="'the board' is an alias of 'one', 'two'; name the"):
        check("the board")


def test_the_own_folder_follows_the_environment(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_folder() == config
    monkeypatch.delenv("NAS_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_folder() == tmp_path / "nas" / "devices"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_folder() == tmp_path / ".config" / "nas" / "devices"


BOARD = "title: Raspberry Pi 5\nkind: board\ncores: 4\n"


def test_a_board_has_no_numbers_but_its_cores() -> None:
    device = read_device(BOARD, "pi5", "pi5.yaml")
    assert (device.kind, device.cores, device.numbers) == ("board", 4, {})
    assert device.runtimes == ("onnxruntime",)
    assert "kit" in basis(device)


def test_threads_of_a_board_are_its_cores(config: Path) -> None:
    from nas.latency.target import Target

    write(config, "pi5", BOARD)
    assert Target("pi5").threads == 4
    assert Target("pi5", threads=1).threads == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOARD.replace("cores: 4", "cores: 0"), "cores: .*greater than 0"),
        (BOARD.replace("cores: 4\n", ""), "cores: is missing; give the number of processor cores"),
        (BOARD + "bandwith_gb_s: 17\n", "bandwith_gb_s: there is no such field"),
    ],
)
def test_wrong_boards_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_device(text, "pi5", "pi5.yaml")


def test_a_device_says_what_its_predictions_rest_on() -> None:
    assert "public data" in basis(check("rtx3090"))
    assert basis(check("rtx5090")) == basis(check("jetson-nano")) == "specification only"
    assert basis(check("cpu")) == "measured here"
