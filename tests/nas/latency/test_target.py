"""Targets: complete, printed whole, and wrong ones refused with what there is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nas.environment import usable_cpus
from nas.errors import SettingsError, UnknownNameError
from nas.latency import Target
from nas.latency.devices import check, describe_cpu, fingerprint, known


def test_a_target_prints_itself_whole() -> None:
    assert str(Target("cpu", threads=2)) == (
        "cpu (eager, fp32, channels_last, batch 1, resolution as the architecture's, 2 threads)"
    )
    assert str(Target("cpu", batch_size=8, resolution=24, threads=1)) == (
        "cpu (eager, fp32, channels_last, batch 8, resolution 24 px, 1 thread)"
    )


def test_a_gpus_target_has_no_threads() -> None:
    assert str(Target("a100")) == (
        "a100 (eager, fp16, channels_last, batch 1, resolution as the architecture's)"
    )
    assert Target("a100").threads is None
    with pytest.raises(SettingsError, match="a100 is a GPU, and only a processor has threads"):
        Target("a100", threads=2)


def test_a_target_holds_the_devices_name_however_it_was_written() -> None:
    assert Target("A100") == Target("a100")
    assert Target("NVIDIA GeForce RTX 4090").device == "rtx4090"
    target = Target("T4", "tensorrt", "amp", "channels_first", 8, 32)
    assert Target.from_dict(target.to_dict()) == target


def test_a_precision_that_the_device_lacks_is_refused() -> None:
    message = "v100 has no precision 'bf16'.*It has fp16, amp, fp32; left out, it is fp16."
    with pytest.raises(UnknownNameError, match=message):
        Target("v100", precision="bf16")


def test_what_is_left_out_takes_the_devices_default() -> None:
    assert Target("cpu") == Target("cpu", "eager", "fp32", "channels_last", 1, None, usable_cpus())


def test_a_target_survives_a_round_trip_through_a_dictionary() -> None:
    target = Target("cpu", batch_size=4, threads=1)
    assert Target.from_dict(target.to_dict()) == target


def test_an_unknown_device_says_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown hardware 'cpus'. Did you mean 'cpu'\?"):
        Target("cpus")
    with pytest.raises(UnknownNameError, match="in a file: `nas hardware add --help`"):
        check("b200")


@pytest.mark.parametrize(
    ("field", "value", "known_values"),
    [
        ("runtime", "tensorrt", "eager"),
        ("precision", "fp8", "fp32"),
        ("layout", "channels_first", "channels_last"),
    ],
)
def test_what_a_device_does_not_offer_is_refused(
    field: str, value: str, known_values: str
) -> None:
    message = f"cpu has no {field} '{value}'.*It has .*{known_values}"
    with pytest.raises(UnknownNameError, match=message):
        Target("cpu", **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["batch_size", "resolution", "threads"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_numbers_have_to_be_positive(field: str, value: object) -> None:
    with pytest.raises(SettingsError, match="has to be a whole number of at least 1"):
        Target("cpu", **{field: value})  # type: ignore[arg-type]


def test_a_stored_target_is_checked() -> None:
    with pytest.raises(SettingsError, match="names no device"):
        Target.from_dict({})
    with pytest.raises(UnknownNameError, match="Unknown field of a target 'thread'. Did you mean"):
        Target.from_dict({"device": "cpu", "thread": 2})


def test_the_processor_is_described() -> None:
    assert describe_cpu()["memory_gib"] > 0
    assert "usable_threads" not in fingerprint()
    assert known()[0] == "cpu"


def test_naming_targets_imports_no_torch() -> None:
    code = (
        "import sys; from nas.latency import Target; Target('cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import nas.latency

    with pytest.raises(AttributeError, match="no attribute 'roofline'"):
        _ = nas.latency.roofline
