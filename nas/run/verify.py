"""Corrects what the supernet says by networks that are trained alone, and draws the front anew.

Of the K networks that `--verify K` asks for, six in ten are from all over the range of scores and
costs. From what they give, the others are chosen: those that may be the best within a budget or on
the front. Then every evaluated network within the budgets gets a corrected score with its interval
(`nas.ranking.correction`), and the front of those replaces the search's. Written to
`verified.json`:

    {"schema": 1, "recipe", "metric", "networks": [{"id", "validation"}], "front": [...]}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.ranking.choosing import promising, spread
from nas.ranking.correction import Correction, correct
from nas.result import Corrected, FrontMember
from nas.run.alone import Alone, in_words, short_training, train_alone
from nas.run.evaluated import Evaluated, evaluated_in
from nas.run.front import Front
from nas.run.rank import keep_ranking
from nas.run.supernets import TrainedSupernet
from nas.run.trainings import Plan
from nas.run.work import Work
from nas.search.front_file import front_among, member_of, within
from nas.search.protocol import Bools
from nas.search.records import Record
from nas.settings import FEWEST_VERIFIED
from nas.storage import atomic_write_json, read_document

SCHEMA = 1
FILE = "verified.json"
SPREAD_SHARE = 0.6


def verify(work: Work, front: Front, supernet: Callable[[], TrainedSupernet]) -> Front:
    """The front by corrected scores; the same front if the settings ask for no networks.

    Args:
        work: The run.
        front: What the search has found.
        supernet: Gives the trained supernet, if the networks start from its weights.

    Raises:
        TrialError: a network failed on the cluster; the others are kept.
    """
    if not work.settings.verify:
        return front
    if not work.folder.finished("verify"):
        known = _within_budgets(work)
        if len(known.records) < FEWEST_VERIFIED:
            work.console.say(
                f"only {len(known.records)} networks within the budgets were evaluated, and a "
                f"correction takes {FEWEST_VERIFIED}: the front stays as the search has found it"
            )
            return front
        _correct(work, known, supernet)
    members = verified_members(work.path)
    if members is None:
        return front
    work.console.say(f"{len(members)} architectures on the front of corrected scores")
    return dataclasses.replace(front, members=tuple(members))


def verified_members(run: Path) -> list[FrontMember] | None:
    """The front by corrected scores; None if the run has none.

    Raises:
        RunError: another version of nas wrote it.
    """
    document = _document(run)
    if document is None:
        return None
    return [FrontMember.from_dict(member) for member in document["front"]]


def verified_networks(run: Path) -> int:
    """How many networks were trained alone to correct the front."""
    return len((_document(run) or {"networks": ()})["networks"])


def _document(run: Path) -> dict[str, Any] | None:
    path = run / FILE
    if not path.exists():
        return None
    document = read_document(path, SCHEMA)
    return document


def _within_budgets(work: Work) -> Evaluated:
    """The evaluated networks that could be on the front."""
    found = evaluated_in(work.path, work.context, ("evaluations.jsonl",))
    return Evaluated(within(found.records, work.context.budgets), work.context)


def _correct(work: Work, known: Evaluated, supernet: Callable[[], TrainedSupernet]) -> None:
    """Train networks alone in two rounds, and write `verified.json` and `rank.json`."""
    context, settings = work.context, work.settings
    plan = Plan(work, supernet, short_training(context, settings.verify_epochs))
    count = min(settings.verify, len(known.records))
    first = max(FEWEST_VERIFIED, math.ceil(SPREAD_SHARE * count))
    if count < settings.verify:
        work.console.say(
            f"only {count} networks within the budgets were evaluated, fewer than the "
            f"{settings.verify} to train alone"
        )
    work.console.say(f"{count} networks, {in_words(plan)}")
    rng = np.random.default_rng(settings.seed)
    rows = spread(-known.networks.score, known.macs, first, rng).tolist()
    alone = train_alone(work, plan, _records(known, rows))
    found = _corrected(known, rows, alone)
    more = count - len(rows)
    if more > 0:
        ms, inside = known.latency_ms, _inside(known)
        rows += promising(found.mean, found.std, ms, inside, more, rows).tolist()
        alone = train_alone(work, plan, _records(known, rows))
        found = _corrected(known, rows, alone)
    keep_ranking(work, plan, _records(known, rows), alone)
    members = front_among(_members(known, found), context.budgets, context.metric)
    networks = [
        {"id": record.id, "validation": dataclasses.asdict(alone[record.id].validation)}
        for record in _records(known, rows)
    ]
    document = {
        "schema": SCHEMA,
        "recipe": in_words(plan),
        "metric": context.metric,
        "networks": networks,
        "front": [member.to_dict() for member in members],
    }
    atomic_write_json(work.path / FILE, document)


def _records(known: Evaluated, rows: Sequence[int]) -> list[Record]:
    return [known.records[row] for row in rows]


def _corrected(known: Evaluated, rows: Sequence[int], alone: dict[str, Alone]) -> Correction:
    """All networks, corrected by those that were trained."""
    scores = [alone[record.id].validation for record in _records(known, rows)]
    return correct(known.networks, np.array(rows), known.errors(scores))


def _inside(known: Evaluated) -> Bools:
    """Which networks are within each budget set, (n, sets)."""
    columns = []
    for alone in known.context.budgets.separate():
        kept = {record.index for record in within(known.records, alone)}
        columns.append([record.index in kept for record in known.records])
    return np.array(columns).T


def _members(known: Evaluated, found: Correction) -> list[FrontMember]:
    """All networks with their corrected scores."""
    metric, space = known.context.metric, known.context.space

    def score(error: float) -> float:
        value = float(np.exp(error))
        return value if metric == "loss" else max(0.0, 1.0 - value)

    members = []
    for row, record in enumerate(known.records):
        ends = sorted((score(found.low[row]), score(found.high[row])))
        corrected = Corrected(metric, score(found.mean[row]), ends[0], ends[1])
        member = member_of(record, lambda code: space.decode(np.array(code)))
        members.append(dataclasses.replace(member, corrected=corrected))
    return members
