"""The training of one network, as a cluster's workers know it."""

from __future__ import annotations

from dataclasses import replace

from nas.run.network_job import NetworkJob
from nas.settings import Settings
from search_spaces import load_space
from supernet.training.recipe import Recipe


def test_trainings_that_differ_have_other_names() -> None:
    """One that is stopped on a cluster and asked for again is continued by its name."""
    space = load_space("hybrid-tiny")
    job = NetworkJob(
        settings=Settings(data="digits"),
        data_id="d",
        architecture=space.decode(space.smallest()),
        recipe=Recipe(),
        seed=0,
        start="a",
        teacher=None,
    )
    others = (
        job.changed({"learning_rate": 1e-4}),
        replace(job, seed=1),
        replace(job, start=None),
        replace(job, teacher="t"),
        replace(job, architecture=space.decode(space.largest())),
    )
    assert replace(job).digest == job.digest
    assert len({job.digest, *(other.digest for other in others)}) == 6
