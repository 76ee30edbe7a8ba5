"""Budgets decide at which resolutions photographs are searched, once for each run and machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas import pipeline
from nas.baselines.choice import Growth
from nas.cli.values import sides
from nas.commands.dry_run import dry_run
from nas.errors import NotFittedError, SettingsError, SpaceError
from nas.latency import Target
from nas.latency.profiles.profile import Subject
from nas.progress import Silent
from nas.run.choosing import resolutions_for
from nas.run.context import Context
from nas.run.folder import read_run
from nas.run.resolutions import ends_within, forget_times, narrow_by_budgets
from nas.settings import Settings, TargetChoice
from nas.storage import cache_dir
from search_spaces import load_space

POSSIBLE = [48, 64, 80, 96, 112, 128, 160, 192, 224]
GROWTH = Growth((48, 224), ((4.8**2, 22.4**2),))
"""A hundredth of the pixels in ms: 41 ms at 64 px, 164 ms at 128 px, 502 ms at 224 px."""


class Photographed:
    """A machine on which a network takes a nanosecond per hundredth of a pixel of its images."""

    def __init__(self) -> None:
        self.measured: list[int] = []

    def __call__(self, target: Target) -> Photographed:
        return self

    def ready(self) -> nullcontext[None]:
        return nullcontext()

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
        return torch.zeros(0)

    def passes(self, networks: Sequence[Any], *_: object) -> list[Any]:
        self.measured += [network.architecture.resolution for network in networks]
        took = [int(n.architecture.resolution**2 * 1e4) for n in networks]
        return [lambda x, ns=ns: [0, ns] for ns in took]

    def facts(self) -> dict[str, Any]:
        return {"model": "a made-up machine"}

    def state(self) -> dict[str, Any]:
        return {}


class Heard(Silent):
    """Keeps what a person was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """Two classes of twelve pictures of 224 px."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return f"folder:{tmp_path / 'photos'}"


def _settings(photographs: str, **changes: Any) -> Settings:
    values = {"data": photographs, "space": "photo-mobile", "pretrained": "none", **changes}
    return Settings(**values)


@pytest.mark.parametrize(
    ("budgets", "ends"),
    [
        ([[1000.0]], (224, 224)),
        ([[170.0]], (128, 128)),  # 256 ms at 160 px is 1.51 times the budget
        ([[171.0]], (128, 160)),
        ([[30.0]], (48, 64)),
        ([[41.0], [171.0]], (64, 160)),  # the tightest and the loosest
        ([[1.0]], (48, 48)),  # nothing keeps it: the search will say so
    ],
)
def test_budgets_move_both_ends(budgets: list[list[float | None]], ends: tuple[int, int]) -> None:
    assert ends_within(POSSIBLE, GROWTH, budgets) == ends


def test_the_target_that_needs_most_of_its_budget_decides() -> None:
    twice = Growth((48, 224), (GROWTH.ms[0], GROWTH.ms[0], (None, None)))
    assert ends_within(POSSIBLE, twice, [[1000.0, 170.0, 5.0]]) == (128, 128)
    assert ends_within(POSSIBLE, twice, [[None, None, 5.0]]) is None


@pytest.mark.parametrize(
    ("budgets", "left"),
    [
        ((1000.0,), None),  # everything keeps it: as without a budget
        ((170.0,), (64, 80, 96, 112, 128)),
        ((171.0,), (80, 96, 112, 128, 160)),
        ((41.0, 171.0), (64, 80, 96, 112, 128, 160)),
        ((1.0,), (48,)),
    ],
)
def test_networks_see_half_of_the_largest_resolution_or_more(
    photographs: str, budgets: tuple[float, ...], left: tuple[int, ...] | None
) -> None:
    context = Context(_settings(photographs, budgets_ms=budgets))
    narrow_by_budgets(context, Silent(), Photographed())
    assert context.settings.resolutions == left


def test_a_processor_is_measured_once_and_a_person_is_told_why(photographs: str) -> None:
    machine, heard = Photographed(), Heard()
    settings = _settings(photographs, budget_ms=170.0)
    for _ in range(2):
        context = Context(settings)
        narrow_by_budgets(context, heard, machine)
        assert context.settings.resolutions == (64, 80, 96, 112, 128)
        assert context.space.definition.resolution == [64, 80, 96, 112, 128]
    assert machine.measured == [48, 224]
    assert heard.said == [
        "timing the largest network of the space at 48 and 224 px",
        *2 * ["networks see the images at 64 to 128 px, and not at 112 to 224 px: the largest "
        "network of the space takes 41 ms at 64 px, 164 ms at 128 px, 502 ms at 224 px "
        "(--resolutions chooses others)"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("learnt", "kept"),
    [
        ([96, 112], (64, 80, 96, 112, 128)),  # a supernet that lacks 128 px is of no use
        ([96, 112, 128, 160], (96, 112, 128, 160)),
        (POSSIBLE, tuple(POSSIBLE)),
    ],
)
def test_a_supernet_that_has_learnt_more_is_used(
    photographs: str, learnt: list[int], kept: tuple[int, ...]
) -> None:
    settings = _settings(photographs, budget_ms=170.0)
    wide = Context(settings)
    wide.narrow(learnt)
    trained = cache_dir() / "supernets" / wide.supernet_key() / "supernet.safetensors"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"weights")
    context, heard = Context(settings), Heard()
    narrow_by_budgets(context, heard, Photographed())
    assert context.settings.resolutions == kept
    assert heard.said[-1].startswith(f"networks see the images at {kept[0]} to {kept[-1]} px")


def test_the_usual_supernet_serves_every_budget_that_it_can(photographs: str) -> None:
    settings = _settings(photographs, budget_ms=300.0)  # 96 to 192 px without it
    usual = Context(settings)
    trained = cache_dir() / "supernets" / usual.supernet_key() / "supernet.safetensors"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"weights")
    context = Context(settings)
    narrow_by_budgets(context, Silent(), Photographed())
    assert context.settings.resolutions is None
    assert context.supernet_key() == usual.supernet_key()


def test_times_can_be_forgotten(photographs: str) -> None:
    forget_times()  # nothing is kept yet
    machine, settings = Photographed(), _settings(photographs, budget_ms=170.0)
    for _ in range(2):
        narrow_by_budgets(Context(settings), Silent(), machine)
        forget_times()
    assert machine.measured == [48, 224, 48, 224]


def test_a_busy_processor_decides_nothing(
    photographs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.run.resolutions.free_share", lambda threads: 0.5)
    context, heard = Context(_settings(photographs, budget_ms=10.0)), Heard()
    narrow_by_budgets(context, heard)
    assert context.settings.resolutions is None
    (said,) = heard.said
    assert said.startswith("Other programs keep the processors busy")


@pytest.mark.parametrize(
    "changes",
    [{"resolution": 128}, {"resolutions": (128, 224)}, {"budget_ms": None}, {"space": "macro"}],
    ids=str,
)
def test_nothing_is_measured_where_nothing_is_to_be_decided(
    photographs: str, changes: dict[str, Any]
) -> None:
    machine = Photographed()
    settings = _settings(photographs, **{"budget_ms": 170.0, **changes})
    context = Context(settings)
    narrow_by_budgets(context, Silent(), machine)
    assert context.settings == settings
    assert not machine.measured


def test_a_target_without_a_budget_is_not_timed(photographs: str) -> None:
    machine = Photographed()
    targets = (TargetChoice(hardware="cpu"), TargetChoice(hardware="t4", budgets_ms=(1000.0,)))
    narrow_by_budgets(Context(_settings(photographs, targets=targets)), Silent(), machine)
    assert not machine.measured


def test_latencies_of_a_gpu_are_predicted_unless_its_space_was_measured(photographs: str) -> None:
    target = TargetChoice(hardware="t4", batch_size=256, budgets_ms=(20.0,))
    settings = _settings(photographs, targets=(target,))
    context = Context(settings)
    usual = context.whole_space
    narrow_by_budgets(context, Silent())
    assert context.settings.resolutions is not None
    assert max(context.settings.resolutions) < 224
    profile = Subject(usual, context.target, context.data.shape).path
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text("a profile of 112 to 224 px")
    context = Context(settings)
    narrow_by_budgets(context, Silent())
    assert context.settings.resolutions is None


def test_a_run_keeps_what_it_decided(photographs: str, tmp_path: Path) -> None:
    machine, out = Photographed(), tmp_path / "run"
    settings = _settings(photographs, budget_ms=170.0)

    def begin() -> None:
        pipeline.run(settings, out=out, until="space", machine_of=machine)

    begin()
    (tmp_path / "cache" / "latency" / "largest.sqlite").unlink()
    begin()  # the same command continues it, and measures nothing again
    assert machine.measured == [48, 224]
    assert read_run(out).settings.resolutions == (64, 80, 96, 112, 128)
    with pytest.raises(SettingsError, match=r"resolutions: \[64, 80, 96, 112, 128\] -> \[64\]"):
        pipeline.run(_settings(photographs, budget_ms=170.0, resolutions=(64,)), out=out)


def test_a_dry_run_shows_the_space_that_a_search_would_have(
    photographs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def end_here(context: Context, *_: object, **__: object) -> None:
        shown.extend(context.space.definition.resolution)
        raise NotFittedError("enough was seen")

    monkeypatch.setattr("nas.commands.dry_run.predictors_of", end_here)
    target = TargetChoice(hardware="t4", batch_size=256, budgets_ms=(20.0,))
    with pytest.raises(NotFittedError, match="enough"):
        dry_run(_settings(photographs, targets=(target,)), console=Silent())
    assert shown and max(shown) < 224


def test_one_resolution_can_be_any_that_the_space_offers(photographs: str) -> None:
    def sides(resolution: int) -> tuple[list[int], list[int]]:
        context = Context(_settings(photographs, budget_ms=None, resolution=resolution))
        spaces = context.whole_space, context.space
        return spaces[0].definition.resolution, spaces[1].definition.resolution

    usual = resolutions_for(load_space("photo-mobile"), 224)
    assert sides(128) == (usual, [128])
    assert sides(64) == ([64], [64])
    with pytest.raises(SpaceError, match="'photo-mobile' has no resolution 70; it has 48, 64"):
        sides(70)


def test_resolutions_are_those_of_the_space() -> None:
    assert Context(Settings(space="photo-mobile", resolutions=(224, 64))).space.definition \
        .resolution == [64, 224]  # fmt: skip
    with pytest.raises(SpaceError, match="'photo-mobile' has no resolution 70; it has 48, 64"):
        _ = Context(Settings(space="photo-mobile", resolutions=(64, 70))).space
    with pytest.raises(SettingsError, match="name one resolution at least"):
        Settings(resolutions=())


def test_resolutions_are_typed_as_a_list() -> None:
    assert sides(None) is None
    assert sides("64, 96,128") == (64, 96, 128)
    for wrong in ("", "64,", "0", "64px", "64 96"):
        with pytest.raises(SettingsError, match="write sides in pixels"):
            sides(wrong)
