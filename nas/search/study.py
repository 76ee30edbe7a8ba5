"""An Optuna study that mirrors `evaluations.jsonl`, so that optuna-dashboard opens it.

    optuna-dashboard results/<run>/study.journal

The study is a copy of the record: trials are appended in batches, and a study that is damaged or
belongs to other evaluations is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nas.result import Metric
from nas.search.foreign.optuna import quiet_optuna
from nas.search.foreign.tool import NamedGene, words_of
from nas.search.records import Record
from nas.storage import storing

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STUDY = "search"


def mirror(
    path: Path,
    records: Sequence[Record],
    genes: Sequence[NamedGene],
    metric: Metric = "accuracy",
    targets: Sequence[str] = ("cpu",),
) -> int:
    """Add the records that the study at `path` lacks; returns the number of added trials.

    Its objectives are the metric and the predicted latency on each target. A second call adds
    nothing. Call it now and then, not for each evaluation.

    Raises:
        StorageError: the disk is full.
        RunError: the file cannot be written to.
    """
    names = [metric, *(f"ms on {target}" for target in targets)]
    with quiet_optuna(), storing(path):
        try:
            study = _open(path, names)
            present = study.get_trials(deepcopy=False)
            fits = _same(present, records)
        except Exception:  # torn by a crash; optuna names no error for it
            fits = False
        if not fits:
            path.unlink(missing_ok=True)
            study, present = _open(path, names), []
        distributions = _distributions(genes)
        missing = records[len(present) :]
        study.add_trials(_trial(record, genes, distributions, metric) for record in missing)
        return len(missing)


def _open(path: Path, names: list[str]) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    directions: list[Literal["maximize", "minimize"]] = ["maximize"]
    directions += ["minimize"] * (len(names) - 1)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=STUDY,
        directions=directions,
        load_if_exists=True,
    )
    if study.metric_names != names:
        study.set_metric_names(names)
    return study


def _same(present: Sequence[FrozenTrial], records: Sequence[Record]) -> bool:
    """Whether the trials are the first of the records."""
    if len(present) > len(records):
        return False
    return all(
        trial.state.is_finished() and trial.user_attrs.get("id") == record.id
        for trial, record in zip(present, records, strict=False)
    )


def _distributions(genes: Sequence[NamedGene]) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution

    return {gene.name: CategoricalDistribution(words_of(gene)) for gene in genes}


def _trial(
    record: Record,
    genes: Sequence[NamedGene],
    distributions: dict[str, BaseDistribution],
    metric: Metric,
) -> FrozenTrial:
    import optuna

    params = {
        gene.name: words_of(gene)[value] for gene, value in zip(genes, record.code, strict=True)
    }
    attributes = {
        name: value for name, value in record.to_dict().items() if name not in ("code", "index")
    }
    values = [record.score(metric), *(latency.predicted_ms for latency in record.latencies)]
    state = optuna.trial.TrialState.FAIL if record.failed else optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(
        state=state,
        values=None if record.failed else values,
        params=params,
        distributions=distributions,
        user_attrs=attributes,
    )
