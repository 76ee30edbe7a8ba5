"""Fitting finds what times were made with; published tables are whole; batches are linear."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.latency.devices import check
from nas.latency.gpu.fit import public
from nas.latency.gpu.fit.fitting import fit, predict, terms, without
from nas.latency.gpu.fit.public import Key, Measured
from nas.latency.gpu.fit.validation import COVERAGES, fold_of, half_widths
from nas.latency.gpu.formula import RUNTIMES
from nas.latency.gpu.fusion import launches_of
from nas.latency.gpu.launches import Launches
from nas.latency.tracing.trace import trace


@pytest.fixture(scope="module")
def launches() -> list[Measured]:
    """Every tenth published time of a single launch."""
    return list(public.launches())[::10]


def test_fitting_explains_published_launches_of_a_device_left_out(
    launches: list[Measured],
) -> None:
    fitted = fit(without(launches, ["v100"]), steps=20)
    tested = [row for row in launches if row.device.startswith("v100")]
    error = np.abs(np.log(predict(fitted, tested) / [row.ms for row in tested]))
    assert np.median(error) < 0.3


def test_a_planted_slowness_is_found(launches: list[Measured]) -> None:
    slow = [replace(row, ms=row.ms * 3) if row.name == "softmax" else row for row in launches]
    before, after = (fit(rows, steps=20) for rows in (launches, slow))
    softmax = [row for row in launches if row.name == "softmax" and row.ms > 0.1]
    ratio = np.median(predict(after, softmax) / predict(before, softmax))
    assert 1.5 < ratio < 3.5


def test_terms_add_up_to_the_prediction(launches: list[Measured]) -> None:
    fitted = fit(launches, steps=5)
    parts = terms(fitted, launches)
    assert parts.min() >= 0
    assert parts.sum(axis=1) == pytest.approx(
        predict(fitted, launches, known_boards=False), rel=1e-3
    )


def test_without_leaves_out_every_variant(launches: list[Measured]) -> None:
    assert {row.device for row in without(launches, ["a100"])} == {
        row.device for row in launches if not row.device.startswith("a100")
    }


def test_published_rows_name_known_devices_and_runtimes() -> None:
    rows = public.table()
    assert len(rows) > 10_000
    for device in {row["device"] for row in rows}:
        assert check(device).kind == "gpu"
    assert {row["runtime"] for row in rows} <= set(RUNTIMES)
    assert all(float(row["ms"]) > 0 for row in rows)


def test_launches_at_a_batch_are_those_of_a_trace_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path))
    from nas.timm_library import shapes_only

    key = Key("test_efficientnet", 64, "amp", "channels_first", "plain")
    for fusion in ("none", "compile"):
        traced = public.traced(key, fusion)  # type: ignore[arg-type]
        assert traced is not None
        module = shapes_only("test_efficientnet", 64)
        operations = trace(module, (5, 3, 64, 64), precision="amp", layout="channels_first")
        if fusion == "none":
            direct = Launches.of(launches_of(operations, "none"))
            ours = traced.at(5)
            assert sorted(ours.kinds) == sorted(direct.kinds)
            assert ours.sizes[:, 0] @ ours.counts == pytest.approx(
                direct.sizes[:, 0] @ direct.counts
            )
            assert ours.sizes[:, 1] @ ours.counts == pytest.approx(
                direct.sizes[:, 1] @ direct.counts
            )


def test_a_kept_trace_without_the_fusion_asked_for_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path))
    key = Key("test_vit", 160, "fp16", "channels_first", "plain")
    direct = public.traced(key, "handwritten")
    (kept,) = tmp_path.rglob("*.json")
    older = json.loads(kept.read_text())
    del older["handwritten"]
    kept.write_text(json.dumps(older))
    again = public.traced(key, "handwritten")
    assert direct is not None and again is not None
    assert again.kinds == direct.kinds


def test_folds_keep_families_together(launches: list[Measured]) -> None:
    rows = [
        replace(launches[0], runtime="eager", family=family, device=device)
        for family in "abcdefg"
        for device in ("v100", "t4")
    ]
    folds = fold_of([*rows, *launches[:3]])
    assert list(folds[-3:]) == [-1, -1, -1]
    assert all(folds[2 * i] == folds[2 * i + 1] for i in range(7))


def test_half_widths_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    groups = {
        (str(i), runtime): rng.normal(0, 0.1, 500)
        for i in range(4)
        for runtime in ("eager", "compile")
    }
    same = half_widths(groups, groups)
    for coverage in COVERAGES:
        width = same["known launched"][str(coverage)]
        inside = np.mean([np.abs(g) <= width for g in groups.values()])
        assert inside == pytest.approx(coverage, abs=0.02)
    moved = {key: errors + 0.3 for key, errors in groups.items()}
    wider = half_widths(groups, moved)["device fused"]["0.9"]
    assert wider == pytest.approx(np.hypot(same["known fused"]["0.9"], 0.3), rel=0.1)


def test_what_an_unseen_runtime_is_off_by_widens_its_interval() -> None:
    """The groups left out by runtime are those left out by device: neither hides the other."""
    known = {("t4", runtime): np.array([0.1, -0.1]) for runtime in ("eager", "compile")}
    devices = {key: errors + 0.3 for key, errors in known.items()}
    runtimes = {key: errors + 0.4 for key, errors in known.items()}
    widths = half_widths(known, devices, runtimes)
    for way in ("launched", "fused"):
        assert widths[f"device {way}"]["0.9"] == pytest.approx(np.hypot(0.1, 0.3))
        assert widths[f"runtime {way}"]["0.9"] == pytest.approx(math.hypot(0.1, 0.3, 0.4))


def test_what_all_networks_are_off_by_is_not_in_a_corrected_interval() -> None:
    errors = np.random.default_rng(0).normal(0, 0.1, 500)
    groups = {("t4", runtime): errors + 0.3 for runtime in ("eager", "compile")}
    widths = half_widths(groups, groups)
    for way in ("launched", "fused"):
        assert widths[f"known {way}"]["0.9"] > 0.4
        assert widths[f"corrected {way}"]["0.9"] == pytest.approx(1.645 * 0.1, rel=0.1)


def test_less_knowledge_never_makes_an_interval_narrower() -> None:
    """Two families off by as much to either side: as a group they are off by nothing."""
    known = {("t4", runtime): np.array([0.5, -0.5, 0.1]) for runtime in ("eager", "compile")}
    exact = {key: np.zeros(3) for key in known}
    shifted = {key: errors - 0.4 for key, errors in known.items()}
    for left_out in (exact, shifted):
        widths = half_widths(known, left_out, left_out)
        for way in ("launched", "fused"):
            for coverage in COVERAGES:
                at = str(coverage)
                assert widths[f"known {way}"][at] >= widths[f"corrected {way}"][at]
                assert widths[f"device {way}"][at] >= widths[f"known {way}"][at]
                assert widths[f"runtime {way}"][at] >= widths[f"device {way}"][at]


def test_runtimes_no_longer_in_use_widen_only_what_is_known_of_new_ones() -> None:
    groups = {("t4", "eager"): np.array([0.1, -0.1]), ("t4", "compile"): np.array([0.1, -0.1])}
    old = {("t4", "jit"): np.array([5.0]), ("t4", "eager-torch1"): np.array([5.0])}
    usual = half_widths(groups, groups, groups)
    with_old = half_widths({**groups, **old}, {**groups, **old}, {**groups, **old})
    for name, width in usual.items():
        if name.startswith("runtime"):
            assert with_old[name]["0.9"] > 5
        else:
            assert with_old[name] == width
