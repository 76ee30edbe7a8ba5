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


def test_what_is_left_out_takes_the_devices_default() -> None:
    assert Target("cpu") == Target("cpu", "eager", "fp32", "channels_last", 1, None, usable_cpus())


def test_a_target_survives_a_round_trip_through_a_dictionary() -> None:
    target = Target("cpu", batch_size=4, threads=1)
    assert Target.from_dict(target.to_dict()) == target


def test_an_unknown_device_says_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown hardware 'cpus'. Did you mean 'cpu'\?"):
        Target("cpus")
    with pytest.raises(UnknownNameError, match="Measure a new device with `nas measure`"):
        check("a10")


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
    message = f"Unknown {field} on cpu '{value}'.*Known: {known_values}"
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
    assert known() == ("cpu",)


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
