from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.commands.evolve_space import evolve_space
from nas.errors import CheckpointError, InfeasibleError, RunError, SettingsError
from nas.latency import Target
from nas.search.protocol import Codes
from nas.settings import Settings
from nas.space_evolution.costs import Limits
from nas.space_evolution.request import Judge, Request
from search_spaces import Architecture, load_space
from supernet.scores import Evaluation

Error = Callable[[Architecture], float]

SPACE = """
schema: 1
name: little
resolution: [8, 12]
stem: [conv: {stride: [2, 1]}]
stages:
- {width: [8, 16], depth: [1, 2, 3], mixers: [pool, spectral_gate, depthwise: {kernel: [3, 5]}]}
"""


class Stop(Exception):
    """A process that is killed."""


class FakeSupernet:
    """Judges by a formula, and counts what it is asked."""

    def __init__(self, error: Error, stop_after: int | None = None) -> None:
        self.error, self.stop_after = error, stop_after
        self.asked: list[bytes] = []
        self.trained: list[str] = []

    def __call__(self, file: Path) -> Judge:
        space = load_space(str(file))
        self.trained.append(space.name)

        def evaluate(code: Codes) -> Evaluation:
            if len(self.asked) == self.stop_after:
                raise Stop
            self.asked.append(code.tobytes())
            noise = np.random.default_rng(list(code.tobytes())).normal(0, 0.003)
            accuracy = 1.0 - self.error(space.decode(code)) - noise
            return Evaluation(accuracy, accuracy / 2, 1.0)

        return Judge(space.fingerprint, evaluate)


def kernels_help(architecture: Architecture) -> float:
    """Greater kernels are better, pooling is bad, width does not matter."""
    blocks = [block for stage in architecture.stages for block in stage.blocks]
    bad = sum(block.mixer.kind == "pool" for block in blocks)
    kernel = sum(getattr(block.mixer.options, "kernel", 0) for block in blocks)
    return 0.3 + (0.05 * bad - 0.01 * kernel) / len(blocks)


@pytest.fixture(autouse=True)
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with `little.yaml`, to work in."""
    monkeypatch.chdir(tmp_path)
    Path("little.yaml").write_text(SPACE)


def _request(evaluations: int = 60, **more: Any) -> Request:
    return Request(Settings(space="little.yaml"), evaluations=evaluations, **more)


def test_each_generation_moves_towards_what_is_better() -> None:
    outcome = evolve_space(_request(100), 2, out=Path("out"), judge=FakeSupernet(kernels_help))
    first, last = (load_space(f"out/space-{i}.yaml") for i in (0, 2))
    assert first.fingerprint == load_space("little.yaml").fingerprint
    kinds = [group[0].kind for group in last.definition.stages[0].mixers]
    assert "pool" not in kinds
    kernels = {
        choice.options.kernel  # type: ignore[attr-defined]
        for stage in last.definition.stages
        for group in stage.mixers
        for choice in group
        if choice.kind == "depthwise"
    }
    assert kernels >= {5, 7}
    assert last.name == "little-2"
    rng = np.random.default_rng(0)
    means = [
        np.mean([kernels_help(space.decode(code)) for code in space.sample(200, rng)])
        for space in (first, last)
    ]
    assert means[1] < means[0] - 0.01
    assert outcome.lines[-1].startswith("Next: nas search --space out/space-2.yaml --data digits")
    assert [Path(path).name for path in outcome.document["spaces"]] == [
        "space-0.yaml",
        "space-1.yaml",
        "space-2.yaml",
    ]


def test_the_reasons_name_every_value_and_every_decision() -> None:
    evolve_space(_request(), 1, out=Path("out"), judge=FakeSupernet(kernels_help))
    document = json.loads(Path("out/reasons.json").read_text())
    (generation,) = document["generations"]
    assert document["compared_at_equal"] == "multiply-adds"
    assert generation["architectures"] == 60
    assert len(generation["dimensions"]) == 6
    for entry in generation["dimensions"]:
        assert entry["reason"]
        assert len(entry["values"]) >= 2
        for value in entry["values"]:
            mean = (value["expected_error"] + value["top_tier_error"]) / 2
            assert value["et_error"] == pytest.approx(mean)
    page = Path("out/reasons.md").read_text()
    assert "## space-0.yaml to space-1.yaml" in page
    for entry in generation["dimensions"]:
        assert f"| {entry['dimension']} |" in page
        assert entry["reason"] in page


@pytest.mark.parametrize("stop_after", [0, 25, 60, 70])
def test_an_evolution_that_was_killed_goes_on_to_the_same_result(stop_after: int) -> None:
    whole = FakeSupernet(kernels_help)
    evolve_space(_request(), 2, out=Path("whole"), judge=whole)
    with pytest.raises(Stop) as stopped:
        killed = FakeSupernet(kernels_help, stop_after)
        evolve_space(_request(), 2, out=Path("cut"), judge=killed)
    assert "Run the same command with --out" in stopped.value.__notes__[0]
    (Path("cut") / ".space-1.yaml.1.tmp").write_text("torn")
    later = FakeSupernet(kernels_help)
    evolve_space(_request(), 2, out=Path("cut"), judge=later)
    assert killed.asked + later.asked == whole.asked
    for name in ("space-1.yaml", "space-2.yaml", "evaluations-1.jsonl"):
        assert Path("cut", name).read_text() == Path("whole", name).read_text()
    assert not list(Path("cut").glob("*.tmp"))


def test_finished_generations_are_not_repeated_and_more_may_follow() -> None:
    evolve_space(_request(), 1, out=Path("out"), judge=FakeSupernet(kernels_help))
    again = FakeSupernet(kernels_help)
    evolve_space(_request(), 1, out=Path("out"), judge=again)
    assert again.trained == []
    evolve_space(_request(), 2, out=Path("out"), judge=again)
    assert again.trained == ["little-1"]


def test_the_same_seed_gives_the_same_spaces_whatever_the_global_state() -> None:
    texts = []
    for state in (1, 2):
        np.random.seed(state)
        evolve_space(_request(), 1, out=Path(f"{state}"), judge=FakeSupernet(kernels_help))
        texts.append(Path(f"{state}", "space-1.yaml").read_text())
    assert texts[0] == texts[1]


def test_where_nothing_is_sure_nothing_moves_and_the_evolution_ends() -> None:
    judge = FakeSupernet(lambda architecture: 0.1)
    outcome = evolve_space(_request(), 3, out=Path("out"), judge=judge)
    assert judge.trained == ["little"]
    assert any("No range moves any more" in line for line in outcome.lines)
    assert outcome.document["generations"][-1]["settled"]
    assert not Path("out/space-2.yaml").exists()


def test_a_range_whose_best_value_is_in_the_middle_does_not_go_to_and_fro() -> None:
    judge = FakeSupernet(lambda architecture: 0.1 + abs(architecture.stages[0].width - 16) / 100)
    evolve_space(_request(), 3, out=Path("out"), judge=judge)
    assert load_space("out/space-1.yaml").definition.stages[0].width == [16, 24]
    assert load_space("out/space-2.yaml").definition.stages[0].width == [16, 24]
    assert "8 went before" in Path("out/reasons.md").read_text()


def test_latencies_are_compared_and_limited_on_the_device_that_is_named() -> None:
    target = Target("a100", batch_size=64)
    limit = Limits(latency_ms=1.0, max_params=4_000)
    request = _request(30, target=target, limits=limit)
    outcome = evolve_space(request, 1, out=Path("out"), judge=FakeSupernet(kernels_help))
    assert outcome.document["compared_at_equal"].startswith("latency on a100 (")
    options = "--hardware a100 --batch-size 64 --budget 1ms --max-params 4k"
    assert outcome.document["next"].endswith(options)
    assert outcome.document["generations"][0]["mean_cost"] < 1.0


def test_limits_that_nothing_keeps_are_told() -> None:
    request = _request(limits=Limits(max_params=10))
    with pytest.raises(InfeasibleError, match="Only 0 architectures of 'little' that keep "):
        evolve_space(request, 1, out=Path("out"), judge=FakeSupernet(kernels_help))


def test_a_space_too_small_to_compare_is_told() -> None:
    Path("two.yaml").write_text(
        "schema: 1\nname: two\nresolution: 8\nstem: [conv]\nstages:\n"
        "- {width: [16, 24], depth: 1, mixers: [pool]}\n"
    )
    request = Request(Settings(space="two.yaml"))
    with pytest.raises(InfeasibleError, match="Only 2 architectures of 'two' were found; to comp"):
        evolve_space(request, 1, out=Path("out"), judge=FakeSupernet(kernels_help))


def test_a_supernet_that_did_not_learn_is_told() -> None:
    judge = FakeSupernet(lambda architecture: float("nan"))
    with pytest.raises(RunError, match="Only 0 of 60 architectures .* have a finite score"):
        evolve_space(_request(), 1, out=Path("out"), judge=judge)


def test_a_budget_in_time_needs_a_device() -> None:
    with pytest.raises(SettingsError, match="needs a device"):
        _request(limits=Limits(latency_ms=1.0))


def test_a_loss_is_no_error_to_compare() -> None:
    with pytest.raises(SettingsError, match="choose --metric accuracy or balanced_accuracy"):
        Request(Settings(space="hybrid-tiny", metric="loss"))


def test_a_folder_of_another_evolution_is_refused_with_the_differences() -> None:
    evolve_space(_request(), 1, out=Path("out"), judge=FakeSupernet(kernels_help))
    with pytest.raises(SettingsError, match="evaluations: 60 -> 70"):
        evolve_space(_request(70), 1, out=Path("out"), judge=FakeSupernet(kernels_help))


@pytest.mark.parametrize("kind", ["file", "foreign"])
def test_a_folder_of_something_else_is_left_alone(kind: str) -> None:
    out = Path("out")
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    message = "is a file" if kind == "file" else "is not empty and holds no evolution"
    with pytest.raises(RunError, match=message):
        evolve_space(_request(), 1, out=out, judge=FakeSupernet(kernels_help))


def test_evaluations_of_another_supernet_are_not_mixed_in() -> None:
    with pytest.raises(Stop):
        evolve_space(_request(), 1, out=Path("out"), judge=FakeSupernet(kernels_help, 5))
    file = Path("out/evaluations-0.jsonl")
    supernet = load_space("little.yaml").fingerprint
    file.write_text(file.read_text().replace(supernet, "another"))
    with pytest.raises(CheckpointError, match="of another supernet"):
        evolve_space(_request(), 1, out=Path("out"), judge=FakeSupernet(kernels_help))


def test_a_space_that_would_keep_no_limit_stays_as_it_was() -> None:
    def wide_and_deep(architecture: Architecture) -> float:
        (stage,) = architecture.stages
        return 0.9 - 0.2 * (stage.width == 16) - 0.1 * len(stage.blocks)

    request = _request(limits=Limits(max_params=470))  # of width 16, a single block of pooling
    evolve_space(request, 1, out=Path("out"), judge=FakeSupernet(wide_and_deep))
    first, second = (load_space(f"out/space-{i}.yaml") for i in (0, 1))
    assert first.fingerprint == second.fingerprint
    assert "Refused: nothing sampled of the space that would" in Path("out/reasons.md").read_text()


def test_a_real_supernet_is_trained_and_judges(home: Path) -> None:
    settings = Settings(
        space=str(home / "minute.yaml"), data=f"npz:{home / 'images.npz'}", epochs=1
    )
    request = Request(settings, evaluations=24)
    outcome = evolve_space(request, 1, out=Path("out"))
    (generation,) = outcome.document["generations"]
    assert 0.0 <= generation["top_tier_error"] <= generation["expected_error"] <= 1.0
    assert len(Path("out/evaluations-0.jsonl").read_text().splitlines()) == 24


def test_an_evolution_is_not_continued_on_other_images(home: Path) -> None:
    shutil.copy(home / "images.npz", "images.npz")
    settings = Settings(space="little.yaml", data="npz:images.npz")
    request, judge = Request(settings, evaluations=60), FakeSupernet(kernels_help)
    evolve_space(request, 1, out=Path("out"), judge=judge)
    with np.load("images.npz") as arrays:
        changed = {**arrays, "images": np.ascontiguousarray(arrays["images"][:, ::-1])}
    np.savez("images.npz", allow_pickle=False, **changed)
    with pytest.raises(SettingsError, match=r"images \(id\): [0-9a-f]{12} -> [0-9a-f]{12}"):
        evolve_space(request, 2, out=Path("out"), judge=judge)
