"""Devices are measured on the node that offers them; items are mapped in their order."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from nas.bench.bench import Task, bench
from nas.bench.table import Column, Table
from nas.cluster.mapping import map_on
from nas.cluster.measuring import finalists_on_node, offers, profile_on_node
from nas.errors import ClusterError, SettingsError
from nas.latency import Target
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import Subject
from nas.progress import Silent
from search_spaces import load_space
from search_spaces.data_shape import DataShape

pytestmark = pytest.mark.ray

SHAPE = DataShape(1, 10)


@pytest.fixture
def space(nas):
    return load_space(nas.home / "small.yaml")


def test_finalists_are_measured_where_their_device_is_offered(local_ray, space) -> None:
    assert offers(local_ray, "cpu")
    assert not offers(local_ray, "a100")
    two = [space.decode(code) for code in (space.smallest(), space.largest())]
    found = finalists_on_node(local_ray, two, Target("cpu", threads=1), SHAPE, Silent())
    assert found.ms.shape == (2,)
    assert 0 < found.ms[0] < found.ms[1]
    with pytest.raises(ClusterError, match="No node of the cluster offers 'hardware_a100'"):
        finalists_on_node(local_ray, two, Target("a100"), SHAPE, Silent())


def test_a_profile_is_measured_there_and_kept_here(
    local_ray, space, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path))
    subject = Subject(space, Target("cpu", threads=1), SHAPE)
    plan = Plan(times=1, most_networks=20, whole_networks=8, widest=100.0).within(5)
    profile_on_node(local_ray, subject, plan, Silent())
    assert subject.path.exists()


def test_measuring_a_device_that_no_node_offers_ends_the_command(nas) -> None:
    status, said = nas.run("measure", "--hardware", "a100", "--ray", "local")
    assert status == 2
    assert "No node of the cluster offers 'hardware_a100'" in said
    assert "Offered are: hardware_cpu" in said


def _twice(item: int) -> int:
    if item == 5:
        raise SettingsError("five is wrong")
    return 2 * item


def _fragile(folder):
    def once(item):
        marker = folder / str(item)
        if item == 2 and not marker.exists():
            marker.touch()
            os._exit(1)
        return item

    return once


def test_results_come_in_the_order_of_the_items(local_ray, tmp_path) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    assert list(map_on(local_ray)(_twice, [3, 1, 2])) == [6, 2, 4]
    with pytest.raises(SettingsError, match="^five is wrong$"):
        list(map_on(local_ray)(_twice, [5]))
    assert list(map_on(local_ray)(_fragile(tmp_path), [1, 2, 3])) == [1, 2, 3]


def test_a_bench_on_a_cluster_finds_what_one_process_finds(local_ray) -> None:
    codes = np.stack(np.meshgrid(range(4), range(5), range(3)), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    columns = (
        Column("accuracy", True, rng.random(60)),
        Column("ms", False, 1 + rng.random(60)),
    )
    task = Task(Table(codes, (4, 5, 3), columns))
    alone = bench(task, "evolution", evaluations=20, seeds=[0, 1, 2])
    there = bench(task, "evolution", evaluations=20, seeds=[0, 1, 2], each=map_on(local_ray))
    assert [run.rows for run in alone.runs] == [run.rows for run in there.runs]
    assert alone.scores == there.scores
