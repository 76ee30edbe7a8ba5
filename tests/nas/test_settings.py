from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import SettingsError
from nas.settings import SCHEMA, Settings


def test_settings_from_before_there_was_a_confidence_have_the_usual_one() -> None:
    older = json.loads(Settings().to_json())
    del older["confidence"]
    settings = Settings.from_json(json.dumps(older))
    assert settings.diff(Settings()) == []
    assert settings.diff(Settings(confidence=0.95)) == ["confidence: 0.9 -> 0.95"]


@pytest.mark.parametrize("confidence", [0.0, 0.49, 0.981, 1.0, float("nan")])
def test_a_confidence_without_a_known_interval_is_refused(confidence: float) -> None:
    with pytest.raises(SettingsError, match="confidence"):
        Settings(confidence=confidence)


def test_settings_survive_their_json() -> None:
    settings = Settings(budget_ms=5.0, max_params=2_000_000, recipe={"epochs": 3, "ema": False})
    assert Settings.from_json(settings.to_json()) == settings
    assert json.loads(settings.to_json())["schema"] == SCHEMA


def test_all_mistakes_are_reported_together_with_the_nearest_field() -> None:
    wrong: dict[str, object] = {"spaec": "x", "evaluations": 0, "budget_ms": float("nan")}
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("3 mistakes in the settings:")
    assert "spaec: there is no such field. Did you mean 'space'?" in message
    assert "evaluations: input should be greater than or equal to 1 (it is 0)" in message
    assert "budget_ms: input should be a finite number" in message


@pytest.mark.parametrize("value", [float("inf"), float("nan"), [1], None])
def test_a_recipe_holds_plain_finite_values(value: object) -> None:
    with pytest.raises(SettingsError, match="'lr' is not a finite number, a word, true or false"):
        Settings(recipe={"lr": value})  # type: ignore[dict-item]


def test_a_diff_names_every_changed_field_with_both_values() -> None:
    one, other = Settings(budget_ms=5.0), Settings(budget_ms=7.0, seed=1)
    assert one.diff(other) == ["seed: 0 -> 1", "budget_ms: 5.0 -> 7.0"]
    assert one.diff(one) == []
    assert Settings().diff(one) == ["budget_ms: not set -> 5.0"]


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
    assert (Settings().space, Settings().data) == ("hybrid-tiny", "digits")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The settings are not valid JSON"),
        ("[]", "not a JSON object"),
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
    code = "import sys, nas.settings, nas.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
