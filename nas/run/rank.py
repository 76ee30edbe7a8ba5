"""What a supernet's word is worth: some of its children are trained alone and compared with it.

Written to `rank.json`: the networks, and how well the supernet, parameters, multiply-adds and
predicted latency rank them as their own scores do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nas.errors import RunError
from nas.ranking.agreement import FEWEST, agreements
from nas.ranking.choosing import along, spread
from nas.ranking.result import Ranked, Ranking, write_ranking
from nas.result import FrontMember, shown_metric
from nas.run.alone import Alone, folder_of, in_words, train_alone, trained_before
from nas.run.evaluated import Evaluated, evaluated_in
from nas.run.trainings import Plan
from nas.run.work import Work
from nas.search.protocol import Floats
from nas.search.records import Record
from nas.storage import atomic_write_json, read_json

FRONT_SHARE = 0.25
"""Share of the networks that come from the front."""
SEED = 0
FILES = ("evaluations.jsonl", "random.jsonl")


def rank(work: Work, front: Sequence[FrontMember], plan: Plan, count: int) -> Ranking:
    """Train networks alone, and write how well the supernet ranks them.

    Args:
        work: The run.
        front: Its front, fastest first.
        plan: How they are trained.
        count: How many at least, those trained before included; fewer if the run has evaluated
            fewer.

    Raises:
        RunError: the run has evaluated too few architectures.
        TrialError: a network failed on the cluster; the others are kept.
    """
    known = evaluated_in(work.path, work.context, FILES)
    if len(known.records) < FEWEST:
        raise RunError(
            f"'{work.path}' has evaluated {len(known.records)} networks, and at least {FEWEST} "
            "are compared. Search with more --evaluations."
        )
    records = [known.records[row] for row in _chosen(known, front, plan, work, count)]
    work.console.say(f"{len(records)} networks, {in_words(plan)}")
    return keep_ranking(work, plan, records, train_alone(work, plan, records))


def keep_ranking(
    work: Work, plan: Plan, records: Sequence[Record], alone: Mapping[str, Alone]
) -> Ranking:
    """Compare the scores of networks that were trained alone, and write `rank.json`."""
    metric = shown_metric(work.context.metric)
    networks = tuple(
        Ranked(
            id=record.id,
            alone=getattr(alone[record.id].validation, metric),
            shared=getattr(record, metric),
            loss=record.loss,
            params=record.params,
            macs=record.macs,
            latency_ms=tuple(at.predicted_ms for at in record.latencies),
        )
        for record in records
    )
    truth = np.array([network.alone for network in networks])
    found = agreements(truth, _scores(work, networks), np.random.default_rng(SEED))
    ranking = Ranking(in_words(plan), metric, networks, tuple(found))
    write_ranking(work.path, ranking)
    return ranking


def _chosen(
    known: Evaluated, front: Sequence[FrontMember], plan: Plan, work: Work, count: int
) -> list[int]:
    """Rows of networks chosen or trained before, of some of the front, and of others spread out.

    The choice is kept beside the trainings, so that a call that is continued makes the same one.
    """
    path = folder_of(work.path, plan) / "chosen.json"
    kept: list[str] = read_json(path)["networks"] if path.exists() else []
    place = {record.id: row for row, record in enumerate(known.records)}
    before = [place[id] for id in kept if id in place]
    before = list(dict.fromkeys((*before, *trained_before(work, plan, known.records))))
    if len(before) >= count:
        return before
    best = [place[member.id] for member in front if member.id in place]
    of_front = along(best, int(np.ceil(FRONT_SHARE * count))).tolist()
    chosen = list(dict.fromkeys((*before, *of_front)))[:count]
    others = np.array(sorted(set(range(len(known.records))) - set(chosen)), dtype=np.int64)
    score, more = -known.networks.score[others], count - len(chosen)
    rows = spread(score, known.macs[others], more, np.random.default_rng(SEED))
    chosen += others[rows].tolist()
    atomic_write_json(path, {"networks": [known.records[row].id for row in chosen]})
    return chosen


def _scores(work: Work, networks: Sequence[Ranked]) -> dict[str, Floats]:
    """By name, more is better; first what the search maximised."""
    metric = shown_metric(work.context.metric)
    scores = {
        f"supernet, {metric.replace('_', ' ')}": np.array([each.shared for each in networks]),
        "supernet, loss": -np.array([each.loss for each in networks]),
        "parameters": np.array([float(each.params) for each in networks]),
        "MACs": np.array([float(each.macs) for each in networks]),
    }
    if work.context.metric == "loss":
        scores = {"supernet, loss": scores["supernet, loss"], **scores}
    for target, name in enumerate(work.context.target_names):
        ms = np.array([each.latency_ms[target] for each in networks])
        scores[f"predicted latency on {name}"] = ms
    return scores
