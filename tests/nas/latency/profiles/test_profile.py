"""Stored profiles: only whole, unchanged ones with their conditions load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import CheckpointError
from nas.latency import Target
from nas.latency.identity import seal
from nas.latency.profiles.gpu import GpuProfile
from nas.latency.profiles.parts import PartsProfile, Terms
from nas.latency.profiles.profile import CONDITIONS, Profile, Subject
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace


def _profile(**conditions: object) -> PartsProfile:
    return PartsProfile(
        conditions={**dict.fromkeys(CONDITIONS, "known"), **conditions},
        parts_ms=(0.0, 1.5),
        parts_mib=(0.0, 0.25),
        parts_timed=(0, 3),
        terms=Terms(0.1, 1.0, 0.0, 0.02),
        log_half_width=0.08,
        held_out={"mape": 0.03},
        networks=({"code": [1, 2], "ms": 1.0},),
    )


def _gpu_profile() -> GpuProfile:
    return GpuProfile(
        conditions={**dict.fromkeys(CONDITIONS, "known"), "model": "abc"},
        coefficients={"host": 1.2},
        constant_ms=0.1,
        parts_ms=(0.0, 1.5),
        parts_device_ms=(0.0, 1.2),
        parts_host_ms=(0.0, 0.3),
        log_half_width=0.08,
        held_out={"mape": 0.03},
        networks=({"code": [1, 2], "ms": 1.0, "terms": [0.5, 0.5]},),
    )


KINDS = [_profile(), _gpu_profile()]


def _saved(profile: Profile, path: Path) -> dict[str, Any]:
    profile.save(path)
    content: dict[str, Any] = json.loads(path.read_text())["content"]
    return content


def _rewrite(path: Path, content: dict[str, Any]) -> None:
    path.write_text(seal(content, 1))


@pytest.mark.parametrize("profile", KINDS)
def test_a_profile_survives_its_file(tmp_path: Path, profile: Profile) -> None:
    profile.save(tmp_path / "p.json")
    loaded = type(profile).load(tmp_path / "p.json")
    assert loaded == profile
    assert loaded.id == profile.id != _profile(date="another").id


@pytest.mark.parametrize("profile", KINDS)
def test_the_order_of_what_is_in_a_file_does_not_matter(tmp_path: Path, profile: Profile) -> None:
    path = tmp_path / "p.json"
    _rewrite(path, dict(reversed(_saved(profile, path).items())))
    assert type(profile).load(path).id == profile.id


@pytest.mark.parametrize("profile", KINDS)
def test_a_profile_that_lacks_something_is_of_an_earlier_version(
    tmp_path: Path, profile: Profile
) -> None:
    path = tmp_path / "p.json"
    content = _saved(profile, path)
    for name in content.keys() - {"conditions"}:
        _rewrite(path, {key: value for key, value in content.items() if key != name})
        with pytest.raises(CheckpointError, match=f"earlier version: it has no '{name}'. Delete"):
            type(profile).load(path)


def test_a_profile_with_changed_bytes_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _profile().save(path)
    path.write_text(path.read_text().replace("1.5", "1.6"))
    with pytest.raises(CheckpointError, match="was changed after it was written.*Delete '"):
        PartsProfile.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', '{"schema": 1, "checksum": ""}'])
def test_a_damaged_profile_does_not_load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read.*measure again"):
        PartsProfile.load(path)


def test_a_profile_of_another_schema_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    _profile().save(path)
    document = json.loads(path.read_text()) | {"schema": 99}
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="has schema 99; this version reads 1"):
        PartsProfile.load(path)


def test_a_profile_without_its_conditions_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    content = _saved(_profile(), path)
    del content["conditions"]["target"]
    _rewrite(path, content)
    with pytest.raises(CheckpointError, match="under which conditions.*target missing"):
        PartsProfile.load(path)


def test_what_changes_a_latency_changes_where_it_is_stored(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target("cpu", threads=1)
    paths = [
        Subject(space, target).path,
        Subject(space, Target("cpu", threads=2)).path,
        Subject(space, Target("cpu", threads=1, batch_size=2)).path,
        Subject(space, target, DataShape(1)).path,
        Subject(space.restrict(8), target).path,
    ]
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    paths.append(Subject(space, target).path)
    assert len(set(paths)) == len(paths)
