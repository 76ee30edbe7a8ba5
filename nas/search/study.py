"""An Optuna study that mirrors `evaluations.jsonl`, so that optuna-dashboard opens it.

    optuna-dashboard results/<run>/study.journal
    optuna-dashboard postgresql+psycopg://nas@db/nas

The study is a copy of the record: trials are appended in batches, and a study that is damaged or
belongs to other evaluations is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.result import Metric
from nas.search.foreign.optuna import quiet_optuna
from nas.search.foreign.tool import NamedGene, words_of
from nas.search.records import Record
from nas.search.study_places import StudyPlace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def mirror(
    place: StudyPlace,
    records: Sequence[Record],
    genes: Sequence[NamedGene],
    metric: Metric = "accuracy",
    targets: Sequence[str] = ("cpu",),
) -> int:
    """Add the records that the study lacks; returns the number of added trials.

    Its objectives are the metric and the predicted latency on each target. A second call adds
    nothing. Call it now and then, not for each evaluation.

    Raises:
        StorageError: the disk is full.
        RunError: the file cannot be written to.
        ClusterError: the database cannot be used.
    """
    names = [metric, *(f"ms on {target}" for target in targets)]
    with quiet_optuna(), place.writing():
        try:
            study = place.open(names)
            present = study.get_trials(deepcopy=False)
            fits = _same(present, records)
        except Exception:  # torn by a crash; optuna names no error for it
            fits = False
        if not fits:
            place.clear()
            study, present = place.open(names), []
        distributions = _distributions(genes)
        missing = records[len(present) :]
        study.add_trials(_trial(record, genes, distributions, metric) for record in missing)
        return len(missing)


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
