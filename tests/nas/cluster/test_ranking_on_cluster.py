"""Networks that are trained alone on a cluster are those that one process trains."""

from __future__ import annotations

import json
import shutil

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


def _alone(run):
    results = map(json.loads, (p.read_text() for p in sorted(run.glob("alone/*/*/result.json"))))
    return [{**result, "seconds": None} for result in results]


def test_a_ranking_on_a_cluster_is_that_of_one_process(nas):
    ranked = ["--networks", "4", "--epochs", "1"]
    for name, more in (("here", []), ("there", ["--ray", "local", "--workers", "2"])):
        shutil.copytree(nas.home / "whole", nas.home / name)
        status, said = nas.run("rank", name, *ranked, *more, timeout=600)
        assert status == 0, said
    assert len(_alone(nas.home / "here")) == 4
    assert _alone(nas.home / "here") == _alone(nas.home / "there")
    read = [(nas.home / name / "rank.json").read_text() for name in ("here", "there")]
    assert read[0] == read[1]
