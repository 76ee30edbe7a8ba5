"""The network to use within each budget set, why, and whether the search paid.

Our networks are chosen by their validation scores. The test split only says how good the choice
is. It also says which stock network is the best, so that ours are compared with the strongest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.result import FrontMember, Recommendation, StockNetwork
from nas.retrain import NetworkResult
from nas.run.compare import Comparison
from nas.run.front import Front, network_folder
from nas.search.front_file import ranked
from nas.search.objectives import Limits, limits_in_words
from nas.units import format_accuracy, format_ms
from supernet.scores import Difference, difference

FASTER = 0.9
"""Share of a stock network's time below which a network that is as accurate has paid."""


@dataclass(frozen=True)
class Finished:
    """All that is known at the end of a run.

    Attributes:
        front: With the latencies that were measured last.
        retrained: Results of the networks that were trained alone, by id.
        comparison: Test scores of all finished networks.
        stock: The stock networks; `comparison` knows them by the names of their folders.
        names: Of the targets.
        confidence: Share of networks whose latency lies within its predicted interval.
        validation_images: Number of images that networks were chosen by.
    """

    run: Path
    front: Front
    retrained: Mapping[str, NetworkResult]
    comparison: Comparison
    stock: Sequence[StockNetwork]
    names: Sequence[str]
    confidence: float
    validation_images: int


def recommend(finished: Finished) -> list[Recommendation]:
    """One recommendation for each budget set."""
    front = finished.front
    pairs = zip(front.budgets.budget_sets, front.within(), strict=True)
    return [_recommended(finished, limits, members) for limits, members in pairs]


def _recommended(
    finished: Finished, limits: Limits, members: Sequence[FrontMember]
) -> Recommendation:
    budget = limits_in_words(limits, finished.names)
    if not members:
        return Recommendation(limits, None, f"No network of the front keeps {budget}.")
    chosen = _best(finished, members)
    folder = network_folder(finished.run, chosen.id)
    return Recommendation(
        limits,
        chosen.id,
        _reason(finished, chosen, len(members), budget),
        _verdict(finished, chosen, limits, budget),
        folder if (folder / "architecture.yaml").exists() else None,
    )


def _best(finished: Finished, members: Sequence[FrontMember]) -> FrontMember:
    """The best member within the budgets.

    If the search's best one was trained alone, it is the best of those that were, by their scores
    after that. These are not compared with scores on shared weights: training alone changes a loss
    more than an accuracy.
    """
    results = finished.retrained
    if members[0].id not in results:
        return members[0]
    trained = [
        dataclasses.replace(
            member, corrected=None, **dataclasses.asdict(results[member.id].validation)
        )
        for member in members
        if member.id in results
    ]
    best = ranked(trained, finished.front.metric)[0]
    return next(member for member in members if member.id == best.id)


_BEST = {
    "accuracy": "the best accuracy",
    "balanced_accuracy": "the best balanced accuracy",
    "loss": "the lowest validation loss",
}


def _reason(finished: Finished, chosen: FrontMember, count: int, budget: str) -> str:
    """Why this network: its score, among how many, and how sure its latency is."""
    trained = chosen.trained_accuracy
    accuracy = chosen.accuracy if trained is None else trained
    score = format_accuracy(accuracy, finished.validation_images)
    latency = " and ".join(
        f"{format_ms(at.ms)}{f' on {at.target}' if len(chosen.latencies) > 1 else ''} "
        f"({'predicted' if at.measured_ms is None else 'measured'})"
        for at in chosen.latencies
    )
    best = _BEST[finished.front.metric]
    if chosen.corrected is not None and trained is None:
        best = f"{best} by the corrected scores"
    among = "is the only network" if count == 1 else f"has {best} of the {count} networks"
    kept = "keeps" if count == 1 else "keep"
    sure = f"{finished.confidence:.0%} confidence"
    within = f" that {kept} {budget} at {sure}" if budget else ""
    return (
        f"It {among} of the front{within}: {score} of the {finished.validation_images} validation "
        f"images{' after training alone' if trained is not None else ''}, in {latency}."
        f"{_expected(chosen)}"
    )


def _expected(member: FrontMember) -> str:
    """What a network is expected to have when trained alone; empty if nothing corrects it."""
    found = member.corrected
    if found is None:
        return ""
    name = found.metric.replace("_", " ")
    return f" Its corrected {name}, after a short training alone, is {found}."


def _verdict(finished: Finished, ours: FrontMember, limits: Limits, budget: str) -> str:
    """Whether the search paid, in a sentence; empty where there is nothing to compare with."""
    found, tested = finished.comparison, [s for s in finished.stock if s.test_accuracy is not None]
    mine = found.networks.get(ours.id)
    if mine is None and ours.id not in finished.retrained:
        mine = found.shared.get(ours.id)
    if mine is None or not tested:
        return ""
    limited = {n: limit for n, limit in zip(finished.names, limits, strict=True) if limit}
    fitting = [
        stock for stock in tested if _keeps(stock, limited) and not _unknown(stock, limited)
    ]
    if not fitting:
        return _nothing_fits(finished, tested, limited, budget)
    best = max(fitting, key=lambda stock: stock.test_accuracy or 0.0)
    gain = difference(mine.right, found.networks[best.path.name].right)
    return _sentence(gain, _times(ours, best, limited), best, budget)


@dataclass(frozen=True)
class _Times:
    """How long our network and a stock one take on the targets that matter."""

    instead: str
    """In words; empty where the stock network's times are not known."""
    faster: bool
    """Whether ours is clearly faster on each target."""
    slower: str
    """How the stock network's times are, in words, where ours is not faster."""


def _times(ours: FrontMember, stock: StockNetwork, limited: Mapping[str, float]) -> _Times:
    """The times on the targets with a limit, or on all if none has one."""
    theirs = {at.target: at.ms for at in stock.latencies}
    mine = {at.target: at.ms for at in ours.latencies if not limited or at.target in limited}
    if not all(name in theirs for name in mine):
        return _Times("", faster=False, slower="")
    words = (
        f"{format_ms(ms)} instead of {format_ms(theirs[name])}"
        f"{f' on {name}' if len(ours.latencies) > 1 else ''}"
        for name, ms in mine.items()
    )
    slower = "hardly slower" if len(mine) == 1 else "not clearly slower on each of them"
    if all(ms >= theirs[name] for name, ms in mine.items()):
        slower = "no slower"
    return _Times(
        " and ".join(words),
        faster=all(ms <= FASTER * theirs[name] for name, ms in mine.items()),
        slower=slower,
    )


def _sentence(gain: Difference, times: _Times, best: StockNetwork, budget: str) -> str:
    """What a gain over the best stock network means."""
    within = f" within {budget}" if budget else ""
    other = f"the best stock network{within}, {best.title} ({best.start})"
    points = f"{abs(gain.value) * 100:.1f} points"
    interval = f"{gain.low * 100:+.1f} to {gain.high * 100:+.1f}, 90 % interval"
    if gain.low > 0:
        time = f" It takes {times.instead}." if times.instead else ""
        return f"The search paid: {points} ({interval}) more accurate than {other}.{time}"
    if gain.high < 0:
        time = f"; the search's takes {times.instead}" if times.instead else ""
        return (
            f"The search did not pay: {other} is {points} ({interval} for the search) more "
            f"accurate{time}. Use that one: {best.path}"
        )
    equal = f"no clear difference in accuracy ({100 * gain.value:+.1f} points, {interval}) from"
    if times.faster:
        return f"The search paid in time: {equal} {other}, in {times.instead}."
    if not times.instead:
        return f"The search did not pay: {equal} {other}."
    return f"The search did not pay: {equal} {other}, which is {times.slower} ({times.instead})."


def _nothing_fits(
    finished: Finished,
    tested: Sequence[StockNetwork],
    limited: Mapping[str, float],
    budget: str,
) -> str:
    unknown = {n for stock in tested if _keeps(stock, limited) for n in _unknown(stock, limited)}
    if unknown:
        return (
            f"Whether a stock network keeps {budget} is not known: nothing says how long they "
            f"take on {' and '.join(sorted(unknown))}."
        )
    known = [(at, stock) for stock in tested for at in stock.latencies]
    name = next(name for name in limited if any(at.target == name for at, _ in known))
    at, fastest = min(
        (pair for pair in known if pair[0].target == name), key=lambda pair: pair[0].most_ms
    )
    score = format_accuracy(fastest.test_accuracy or 0.0, finished.comparison.test_images)
    on = f" on {name}" if len(finished.names) > 1 else ""
    return (
        f"No stock network that was tried keeps {budget}: the fastest{on}, {fastest.title} "
        f"({fastest.start}), takes {format_ms(at.most_ms)} and has {score} of the test images "
        "right."
    )


def _keeps(stock: StockNetwork, limited: Mapping[str, float]) -> bool:
    """Whether no known latency of a stock network exceeds a limit."""
    return all(at.most_ms <= limited.get(at.target, at.most_ms) for at in stock.latencies)


def _unknown(stock: StockNetwork, limited: Mapping[str, float]) -> list[str]:
    """The targets with a limit on which a stock network's latency is not known."""
    known = {at.target for at in stock.latencies}
    return [name for name in limited if name not in known]
