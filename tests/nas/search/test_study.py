from __future__ import annotations

import dataclasses

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas.search import make_searcher
from nas.search.engine import search
from nas.search.study import mirror
from nas.search.study_places import STUDY, StudyFile


@pytest.fixture
def records(problem, tmp_path):
    searcher = make_searcher("random", problem.brief(0))
    records = search(problem, searcher, evaluations=9, record=tmp_path / "e.jsonl")
    nothing = {"accuracy": np.nan, "balanced_accuracy": np.nan, "loss": np.nan}
    return [*records[:8], dataclasses.replace(records[8], **nothing)]


def trials(path):
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.load_study(study_name=STUDY, storage=storage)
    assert study.directions == [
        optuna.study.StudyDirection.MAXIMIZE,
        optuna.study.StudyDirection.MINIMIZE,
    ]
    assert study.metric_names == ["accuracy", "ms on cpu"]
    return study.trials


def essence(found):
    return [(t.number, t.state, t.values, t.params, t.user_attrs) for t in found]


def test_a_study_holds_each_evaluation(records, space, tmp_path):
    path = tmp_path / "study.journal"
    assert mirror(StudyFile(path), records, space.genes) == 9
    found = trials(path)
    for trial, record in zip(found, records, strict=True):
        assert trial.user_attrs["id"] == record.id
        assert trial.user_attrs["latencies"][0]["high_ms"] == record.latencies[0].high_ms
        assert trial.params == {
            gene.name: str(value) for gene, value in zip(space.genes, record.code, strict=True)
        }
    assert found[0].values == [records[0].accuracy, records[0].latencies[0].predicted_ms]
    assert found[8].state == optuna.trial.TrialState.FAIL


def test_a_study_of_two_targets_has_an_objective_for_each(two_targets, tmp_path):
    searcher = make_searcher("random", two_targets.brief(0))
    records = search(two_targets, searcher, evaluations=3, record=tmp_path / "e.jsonl")
    path = tmp_path / "study.journal"
    assert mirror(StudyFile(path), records, two_targets.space.genes, targets=("a100", "cpu")) == 3
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.load_study(study_name=STUDY, storage=storage)
    assert study.metric_names == ["accuracy", "ms on a100", "ms on cpu"]
    for trial, record in zip(study.trials, records, strict=True):
        assert trial.values[1:] == [latency.predicted_ms for latency in record.latencies]


def test_mirroring_in_batches_or_again_gives_the_same_study(records, space, tmp_path):
    mirror(StudyFile(tmp_path / "once"), records, space.genes)
    assert mirror(StudyFile(tmp_path / "batches"), records[:4], space.genes) == 4
    assert mirror(StudyFile(tmp_path / "batches"), records, space.genes) == 5
    assert mirror(StudyFile(tmp_path / "batches"), records, space.genes) == 0
    assert essence(trials(tmp_path / "batches")) == essence(trials(tmp_path / "once"))


@pytest.mark.parametrize("damage", [b"", b'{"op_code": 4,\n', b"not json\n{}\n"])
def test_a_damaged_study_is_made_anew(records, space, tmp_path, damage):
    path = tmp_path / "study.journal"
    mirror(StudyFile(path), records, space.genes)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + damage + whole[len(whole) // 2 :])
    mirror(StudyFile(path), records, space.genes)
    assert [t.user_attrs["id"] for t in trials(path)] == [r.id for r in records]


@pytest.mark.parametrize("left", [b"{", b'{"op_code": 4, "worker_id": "a'])
def test_a_line_that_a_full_disk_cut_off_is_removed(records, space, tmp_path, left):
    path = tmp_path / "study.journal"
    mirror(StudyFile(path), records[:4], space.genes)
    path.write_bytes(path.read_bytes() + left)
    assert mirror(StudyFile(path), records, space.genes) == 5
    assert [t.user_attrs["id"] for t in trials(path)] == [r.id for r in records]


def test_a_study_of_other_evaluations_is_made_anew(records, space, tmp_path):
    path = tmp_path / "study.journal"
    mirror(StudyFile(path), records[::-1], space.genes)
    assert mirror(StudyFile(path), records, space.genes) == 9
    assert [t.user_attrs["id"] for t in trials(path)] == [r.id for r in records]


def test_choices_that_read_the_same_are_numbered(records, space, tmp_path):
    class Same:
        def __str__(self):
            return "same"

    genes = [
        dataclasses.replace(gene, choices=tuple(Same() for _ in gene.choices))
        for gene in space.genes
    ]
    mirror(StudyFile(tmp_path / "study"), records, genes)
    assert trials(tmp_path / "study")[0].params["gene0"] == f"{records[0].code[0]}: same"


def test_mirroring_is_quiet_and_leaves_optuna_as_it_was(records, space, tmp_path, capfd):
    level = optuna.logging.get_verbosity()
    mirror(StudyFile(tmp_path / "study"), records, space.genes)
    assert optuna.logging.get_verbosity() == level
    assert capfd.readouterr() == ("", "")
