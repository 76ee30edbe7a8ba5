"""The model's times behave like times, and its file says what it rests on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.errors import CheckpointError
from nas.latency.devices import check
from nas.latency.gpu.formula import (
    Batch,
    device_numbers,
    launch_times,
    overlapped,
    total,
    total_ms,
)
from nas.latency.gpu.launches import Launch, Launches
from nas.latency.gpu.model import Model, shipped
from nas.latency.identity import checksum

WAYS = ("launched", "fused")
PRODUCT = Launch("product", 2.0 * 4096**3, 2.0 * 2 * 4096**2, 2.0 * 4096**2, 1, 4096, 4096, 4096)
COPY = Launch("elementwise", 0, 2.0**30, 2.0**30)


def times(launch: Launch, device: str = "a100", **changed: float) -> tuple[float, float, float]:
    """Computing, moving memory, both at once; milliseconds of one launch."""
    numbers = device_numbers(replace(check(device), **changed), "fp16")  # type: ignore[arg-type]
    batch = Batch.of([Launches.of([launch])], [numbers], ["eager"])
    parameters = shipped().parameters
    compute, memory = launch_times(parameters, batch)
    return float(compute), float(memory), float(overlapped(parameters, compute, memory))


def test_overlap_hides_neither_whole() -> None:
    for launch in (PRODUCT, COPY):
        compute, memory, both = times(launch)
        assert max(compute, memory) < both < compute + memory + 1e-6


def test_a_large_product_waits_for_compute_and_a_copy_for_memory() -> None:
    compute, memory, _ = times(PRODUCT)
    assert compute > 2 * memory
    compute, memory, _ = times(COPY)
    assert memory > compute


def test_no_faster_than_the_data_sheet() -> None:
    peak = check("a100").tflops["fp16"] * 1e9
    assert times(PRODUCT)[0] > PRODUCT.flops / peak
    moved = (COPY.bytes_read + COPY.bytes_written) / (check("a100").bandwidth_gb_s * 1e6)
    assert times(COPY)[2] > 0.8 * moved


def test_more_bandwidth_moves_memory_faster() -> None:
    assert times(COPY, bandwidth_gb_s=4000)[1] == pytest.approx(
        times(COPY, bandwidth_gb_s=2000)[1] / 2
    )


def test_what_fits_the_cache_is_faster() -> None:
    small = Launch("elementwise", 0, 2.0**20, 2.0**20)
    assert times(small, l2_mib=80)[1] < times(small, l2_mib=0.5)[1]


def test_products_slow_down_where_power_is_short_and_copies_do_not() -> None:
    assert times(PRODUCT, power_w=200)[0] > 1.1 * times(PRODUCT, power_w=800)[0]
    assert times(COPY, power_w=200) == times(COPY, power_w=800)


def test_faster_tensor_cores_gain_less_on_short_products() -> None:
    def gain(k: int) -> float:
        product = PRODUCT._replace(k=k, flops=2.0 * 4096**2 * k)
        fast, slow = ({"fp16": tflops, "fp32": 19.5} for tflops in (300.0, 150.0))
        # No power is short here.
        changed = [times(product, tflops=t, power_w=4000)[0] for t in (slow, fast)]  # type: ignore[arg-type]
        return changed[0] / changed[1]

    assert 1 < gain(64) < gain(512) < gain(4096) < 2


def test_a_runtime_has_a_factor_of_its_own_for_full_precision() -> None:
    model = shipped()
    half, full = (model.factor("rtx5090", "eager-ngc", p) for p in ("fp16", "fp32"))
    assert half == model.factor("rtx5090", "eager-ngc", "amp") != full


def test_both_forms_of_the_whole_agree() -> None:
    device, host = np.array([0.1, 2.0, 3.0]), np.array([1.0, 2.0, 0.1])
    ours = total_ms(device, host, 0.03)
    torchs = total(torch.from_numpy(device), torch.from_numpy(host), torch.tensor(0.03))
    assert ours == pytest.approx(torchs.numpy())
    assert (ours >= np.maximum(device, host)).all()


def test_round_trip() -> None:
    text = shipped().to_json()
    assert Model.from_json(text).to_json() == text


def test_every_measured_pair_is_of_a_known_device_and_runtime() -> None:
    for pair in shipped().conditions["devices"]:
        device, runtime = pair.split()
        assert check(device).name == device
        assert shipped().basis(device, runtime) == "known"
    assert shipped().basis("rtx5090", "eager") == "device"
    assert shipped().basis("a100", "onnxruntime") == "runtime"


def test_intervals_widen_with_coverage() -> None:
    widths = shipped().half_widths
    known = "corrected", "known", "device", "runtime"
    bases = [f"{basis} {way}" for basis in known for way in WAYS]
    assert sorted(widths) == sorted(bases)
    for by_coverage in widths.values():
        listed = [by_coverage[c] for c in sorted(by_coverage, key=float)]
        assert listed == sorted(listed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"fixed_ms": 0.03', '"fixed_ms": 0.04', 1), "changed after"),
        (lambda text: text[:-100], "cannot be read"),
        (lambda text: text.replace('"schema": 2', '"schema": 7'), "schema 7"),
    ],
)
def test_a_damaged_file_does_not_load(change, message) -> None:  # type: ignore[no-untyped-def]
    text = shipped().to_json()
    changed = change(text)
    if changed == text:
        changed = text.replace("0.0", "0.1", 1)
    with pytest.raises(CheckpointError, match=message):
        Model.from_json(changed)


def test_a_model_without_its_conditions_does_not_load() -> None:
    document = json.loads(shipped().to_json())
    del document["content"]["conditions"]["rows"]
    document["checksum"] = checksum(document["content"])
    with pytest.raises(CheckpointError, match="rows missing"):
        Model.from_json(json.dumps(document))
