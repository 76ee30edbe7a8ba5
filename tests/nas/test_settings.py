from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import SettingsError
from nas.settings import SCHEMA, Settings, TargetChoice


@pytest.mark.parametrize("confidence", [0.0, 0.49, 0.981, 1.0, float("nan")])
def test_a_confidence_without_a_known_interval_is_refused(confidence: float) -> None:
    with pytest.raises(SettingsError, match="confidence"):
        Settings(confidence=confidence)


def test_settings_survive_their_json() -> None:
    settings = Settings(
        targets=[{"hardware": "a100", "batch_size": 32, "budgets_ms": [2.0, 5.0]}, {}],
        max_params=2_000_000,
        recipe={"epochs": 3, "ema": False},
    )
    assert Settings.from_json(settings.to_json()) == settings
    assert json.loads(settings.to_json())["schema"] == SCHEMA


def test_all_mistakes_are_reported_together_with_the_nearest_field() -> None:
    wrong: dict[str, object] = {"spaec": "x", "evaluations": 0, "budget_ms": float("nan")}
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    message = str(caught.value)
    assert message.startswith("3 mistakes in the settings:")
    assert "spaec: there is no such field. Did you mean 'space'?" in message
    assert "evaluations: input should be greater than or equal to 1 (it is 0)" in message
    assert "budgets_ms.0: input should be a finite number" in message


@pytest.mark.parametrize("value", [float("inf"), float("nan"), [1], None])
def test_a_recipe_holds_plain_finite_values(value: object) -> None:
    with pytest.raises(SettingsError, match="'lr' is not a finite number, a word, true or false"):
        Settings(recipe={"lr": value})


def test_two_numbers_of_epochs_are_refused() -> None:
    with pytest.raises(SettingsError, match="epochs contradicts epochs in the recipe"):
        Settings(epochs=5, recipe={"epochs": 30})
    assert Settings(epochs=5, recipe={"epochs": 5}).epochs == 5


def test_a_diff_names_every_changed_field_with_both_values() -> None:
    one, other = Settings(budget_ms=5.0), Settings(budget_ms=7.0, seed=1)
    assert one.diff(other) == ["seed: 0 -> 1", "budgets_ms: [5.0] -> [7.0]"]
    assert one.diff(one) == []
    assert Settings().diff(one) == ["budgets_ms: not set -> [5.0]"]


def test_a_diff_of_several_targets_says_which_one() -> None:
    cpu, gpu = {"budgets_ms": [5]}, {"hardware": "a100"}
    both = Settings(targets=[cpu, gpu])
    larger = Settings(targets=[cpu, {**gpu, "batch_size": 8}])
    assert both.diff(larger) == ["target 2, batch_size: not set -> 8"]
    assert both.diff(Settings(targets=[gpu])) == [
        'targets: "cpu, budgets_ms [5.0]; a100" -> "a100"'
    ]


def test_fields_of_the_only_target_are_those_of_the_run() -> None:
    target = TargetChoice(hardware="a100", batch_size=32, budgets_ms=(5.0,))
    flat = Settings(hardware="a100", batch_size=32, budget_ms=5.0)
    assert flat == Settings(targets=[target])
    assert Settings(budgets_ms=[2, 5]).targets == (TargetChoice(budgets_ms=(2.0, 5.0)),)
    assert Settings().targets == (TargetChoice(),)
    assert Settings(budget_ms=None) == Settings()


def test_each_set_of_budgets_has_a_limit_per_target() -> None:
    assert Settings().budget_sets == ((None,),)
    assert Settings(targets=[{}, {"hardware": "a100"}]).budget_sets == ((None, None),)
    assert Settings(budgets_ms=[2, 5]).budget_sets == ((2.0,), (5.0,))
    three = [{"budgets_ms": [2, 5]}, {"budgets_ms": [40]}, {}]
    assert Settings(targets=three).budget_sets == ((2.0, 40.0, None), (5.0, 40.0, None))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"targets": []}, "there is no target"),
        ({"targets": [{}], "budget_ms": 5.0}, "give `targets` or budget_ms, not both"),
        ({"budgets_ms": [2], "budget_ms": 5.0}, "give `budget_ms` or `budgets_ms`, not both"),
        ({"budgets_ms": [5, 2]}, "from the tightest to the loosest, each once: 2, 5"),
        ({"budgets_ms": [5, 5]}, "from the tightest to the loosest, each once: 5"),
        ({"hardwrae": "a100"}, "hardwrae: there is no such field. Did you mean 'hardware'?"),
        ({"targets": [{}, {"hardwrae": "x"}]}, r"targets.1.hardwrae: .* Did you mean 'hardware'"),
        (
            {"targets": [{"budgets_ms": [1, 2]}, {"hardware": "a100", "budgets_ms": [1, 2, 3]}]},
            "equally many, or just one. There are: 2 for cpu, 3 for a100",
        ),
    ],
)
def test_targets_and_budgets_that_cannot_be_are_told(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(**wrong)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().seed = 1  # type: ignore[misc]


def test_paths_are_kept_absolute_and_names_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(space="my.yaml", data="folder:images")
    assert settings.space == str(tmp_path / "my.yaml")
    assert settings.data == f"folder:{tmp_path / 'images'}"
    assert (Settings().space, Settings().data) == (None, "digits")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The settings are not valid JSON"),
        ("[]", "not a JSON object"),
        (
            '{"schema": 1, "budget_ms": 5.0}',
            f"schema version 1; this version of nas reads {SCHEMA}",
        ),
        ('{"schema": 99}', f"schema version 99; this version of nas reads {SCHEMA}"),
        ('{"seed": 1}', "schema version None"),
        (f'{{"schema": {SCHEMA}, "sede": 1}}', "Did you mean 'seed'?"),
    ],
)
def test_settings_that_cannot_be_read_say_why(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_json(text)
    assert message in str(caught.value)


def test_settings_are_read_without_torch() -> None:
    code = "import sys, nas.settings, nas.run.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", ["/data/run_12:30:00", "/a:b/c.npz"])
def test_a_path_may_have_colons(path: str) -> None:
    """Only the first colon ends the kind of data; the path after it stays as it is."""
    assert Settings(data=f"folder:{path}").data == f"folder:{path}"
    assert Settings(space=f"{path}/my.yaml").space == f"{path}/my.yaml"


def test_options_of_reading_are_checked_kept_and_compared() -> None:
    settings = Settings(reading={"fit": "squash", "splits": {"train": "."}})
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings().diff(settings) == [
        'fit: "crop" -> "squash"',
        'splits: not set -> {"train": "."}',
    ]
    with pytest.raises(SettingsError, match="unknown split 'tset'"):
        Settings(reading={"splits": {"tset": "a"}})
    with pytest.raises(SettingsError, match=r"reading\.fti: unexpected"):
        Settings(reading={"fti": "crop"})
