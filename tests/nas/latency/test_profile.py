"""Stored profiles: only whole, unchanged ones with their conditions load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.errors import CheckpointError
from nas.latency import Target
from nas.latency.profile import CONDITIONS, Profile, Terms, checksum, profile_path
from search_spaces.space import SearchSpace


def _profile(**conditions: object) -> Profile:
    return Profile(
        conditions={**dict.fromkeys(CONDITIONS, "known"), **conditions},
        parts_ms=(0.0, 1.5),
        parts_mib=(0.0, 0.25),
        parts_timed=(0, 3),
        terms=Terms(0.1, 1.0, 0.0, 0.02),
        log_half_width=0.08,
        held_out={"mape": 0.03},
        networks=({"code": [1, 2], "ms": 1.0},),
    )


def test_a_profile_survives_its_file(tmp_path: Path) -> None:
    profile = _profile()
    profile.save(tmp_path / "p.json")
    loaded = Profile.load(tmp_path / "p.json")
    assert loaded == profile
    assert loaded.id == profile.id != _profile(date="another").id


def test_a_profile_with_changed_bytes_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _profile().save(path)
    path.write_text(path.read_text().replace("1.5", "1.6"))
    with pytest.raises(CheckpointError, match="was changed after it was measured.*Delete '"):
        Profile.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', '{"schema": 1, "checksum": ""}'])
def test_a_damaged_profile_does_not_load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read.*measures again"):
        Profile.load(path)


def test_a_profile_of_another_schema_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _profile().save(path)
    document = json.loads(path.read_text()) | {"schema": 99}
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="has schema 99; this version reads 1"):
        Profile.load(path)


def test_a_profile_without_its_conditions_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _profile().save(path)
    document = json.loads(path.read_text())
    del document["content"]["conditions"]["target"]
    document["checksum"] = checksum(document["content"])
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="under which conditions.*target missing"):
        Profile.load(path)


def test_what_changes_a_latency_changes_where_it_is_stored(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, target = space.part_index(), Target("cpu", threads=1)
    paths = [
        profile_path(target, index, 3, 10),
        profile_path(Target("cpu", threads=2), index, 3, 10),
        profile_path(Target("cpu", threads=1, batch_size=2), index, 3, 10),
        profile_path(target, space.part_index(1, 10), 1, 10),
        profile_path(target, space.restrict(8).part_index(), 3, 10),
    ]
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    paths.append(profile_path(target, index, 3, 10))
    assert len(set(paths)) == len(paths)
