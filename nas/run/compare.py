"""The finished networks side by side: ours and stock ones, each judged by its file alone.

Written to `compared.json`, once:

    {"schema": 1, "test_images": n,
     "shared": {id: {"accuracy", "right"}},       each member of the front on the shared weights
     "networks": {key: {"accuracy", "right", "ms": {target: {"ms", "measured", "high_ms"}}}}}

`right` says which test images a network has right, in hexadecimal digits. A key is the id of one
of our networks, or the folder of a stock one; `high_ms` is there for predicted latencies. Accuracy
and latency of a network come from the same exported file, and all networks are measured taking
turns. Every choice was made before the test split is opened here for the whole front. A network
that is trained later is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.baselines.latency import time_models
from nas.baselines.model import Model
from nas.baselines.result import StockResult
from nas.baselines.scoring import Scored, score, unpacked
from nas.data import Normalisation
from nas.data.batches import EvalBatches
from nas.export.load import read_description
from nas.result import FrontMember, StockLatency
from nas.run.baselines import folder_of, normalisation_of, stock_model, timed_before
from nas.run.evaluator import batch_size_at
from nas.run.export import child
from nas.run.front import Front
from nas.run.inputs import measured_here
from nas.run.measure import MachineOf
from nas.run.supernets import TrainedSupernet
from nas.run.threads import each_of
from nas.run.work import Work
from nas.storage import atomic_write_json, read_document
from nas.units import format_ms

SCHEMA = 1
DISTURBED = 1.5
"""A stock network that takes so many times as long as when it was chosen was disturbed."""


@dataclass(frozen=True)
class Finalist:
    """A finished network by its file."""

    key: str
    model: Model
    normalisation: Normalisation


@dataclass(frozen=True)
class Compared:
    """What `compared.json` says of one network."""

    accuracy: float
    """On the test images."""
    right: tuple[bool, ...]
    """Which test images it has right."""
    ms: Mapping[str, StockLatency] = dataclasses.field(default_factory=dict)
    """By target."""


@dataclass(frozen=True)
class Comparison:
    """All of `compared.json`; empty before the step."""

    test_images: int = 0
    shared: Mapping[str, Compared] = dataclasses.field(default_factory=dict)
    networks: Mapping[str, Compared] = dataclasses.field(default_factory=dict)

    def applied(self, front: Front) -> Front:
        """The front with these scores, and the faster of two measurements of a latency.

        Other programs only slow a network down.
        """
        members = tuple(map(self._known, front.members))
        return dataclasses.replace(front, members=members)

    def _known(self, member: FrontMember) -> FrontMember:
        """A member with what is said of it here."""
        if member.id in self.shared:
            shared = self.shared[member.id].accuracy
            member = dataclasses.replace(member, shared_test_accuracy=shared)
        if member.id not in self.networks:
            return member
        latencies = []
        for at in member.latencies:
            found = self.networks[member.id].ms.get(at.target)
            if found and found.measured and (at.measured_ms is None or found.ms < at.measured_ms):
                at = dataclasses.replace(at, measured_ms=found.ms)
            latencies.append(at)
        return dataclasses.replace(member, latencies=tuple(latencies))


def compare(
    work: Work,
    front: Front,
    supernet: TrainedSupernet,
    exported: Sequence[Path],
    stock: Sequence[StockResult],
    machine_of: MachineOf | None,
) -> Comparison:
    """Score all networks on the test split and measure the finished ones, taking turns.

    Args:
        work: The run.
        front: Its front; each member is scored with the shared weights.
        supernet: Holds them.
        exported: Folders of our finished networks.
        stock: The trained stock networks.
        machine_of: Finds the machine that measures on a target, in this process; by default a
            process of its own measures.
    """
    path = work.path / "compared.json"
    if not path.exists():
        finalists = [*map(_ours, exported), *(_stock(work, result) for result in stock)]
        atomic_write_json(path, _document(work, front, supernet, finalists, stock, machine_of))
    return read_comparison(work.path)


def compare_also(work: Work, folders: Sequence[Path]) -> None:
    """Add finished networks of ours to a comparison that was made before; else do nothing.

    They are only measured where the run has measured: another machine is faster or slower.

    Args:
        work: The run.
        folders: Of the exported networks.
    """
    path = work.path / "compared.json"
    if not (path.exists() and folders):
        return
    here = measured_here(work)
    if not here:
        work.console.say(
            "latencies are not measured again: this machine has other profiles than the run "
            "began with"
        )
    document, finalists = read_document(path, SCHEMA), list(map(_ours, folders))
    ms = _timed(work, finalists, None) if here else {}
    document["networks"] |= _finalists(work, finalists, ms)
    atomic_write_json(path, document)


def forget(run: Path, ids: Iterable[str]) -> None:
    """Take networks out of a run's comparison: their weights are about to change."""
    path = run / "compared.json"
    if not path.exists():
        return
    document = read_document(path, SCHEMA)
    for id in document["networks"].keys() & set(ids):
        del document["networks"][id]
    atomic_write_json(path, document)


def read_comparison(run: Path) -> Comparison:
    """What a run's `compared.json` says; empty if it has none yet.

    Raises:
        RunError: another version of nas wrote it.
    """
    path = run / "compared.json"
    if not path.exists():
        return Comparison()
    document = read_document(path, SCHEMA, f"Delete it to compare again with `nas resume {run}`.")
    images = document["test_images"]
    shared, networks = (
        {key: _compared(found, images) for key, found in document[name].items()}
        for name in ("shared", "networks")
    )
    return Comparison(images, shared, networks)


def _compared(found: Mapping[str, Any], images: int) -> Compared:
    ms = {target: StockLatency(target, **at) for target, at in found.get("ms", {}).items()}
    return Compared(found["accuracy"], unpacked(found["right"], images), ms)


def _document(
    work: Work,
    front: Front,
    supernet: TrainedSupernet,
    finalists: Sequence[Finalist],
    stock: Sequence[StockResult],
    machine_of: MachineOf | None,
) -> dict[str, Any]:
    context = work.context
    test = context.dataset.open_test()
    shown = EvalBatches(test, context.data.normalisation)

    def with_shared_weights(member: FrontMember) -> dict[str, Any]:
        side = member.architecture.resolution
        network = child(work, member, supernet).network
        return _said(score(network, shown, side, batch_size_at(side)))

    said = each_of(front.members, with_shared_weights, context.device)
    shared = {member.id: each for member, each in zip(front.members, said, strict=True)}
    ms = _timed(work, finalists, machine_of)
    _undo_disturbed(work, ms, stock)
    networks = _finalists(work, finalists, ms)
    return {"schema": SCHEMA, "test_images": len(test), "shared": shared, "networks": networks}


def _finalists(
    work: Work, finalists: Sequence[Finalist], ms: Mapping[str, list[dict[str, Any] | None]]
) -> dict[str, dict[str, Any]]:
    """Score finished networks by their files; `ms` are their latencies by target."""
    context = work.context
    test, own = context.dataset.open_test(), context.data.normalisation
    shown = EvalBatches(test, own)

    def by_its_file(finalist: Finalist) -> dict[str, Any]:
        side, normalisation = finalist.model.side, finalist.normalisation
        images = shown if normalisation == own else EvalBatches(test, normalisation)
        return _said(score(finalist.model.load(), images, side, batch_size_at(side)))

    scored = each_of(finalists, by_its_file, context.device)
    return {
        each.key: {**found, "ms": {name: at[i] for name, at in ms.items() if at[i] is not None}}
        for i, (each, found) in enumerate(zip(finalists, scored, strict=True))
    }


def _said(scored: Scored) -> dict[str, Any]:
    return {"accuracy": scored.evaluation.accuracy, "right": scored.packed}


def _timed(
    work: Work, finalists: Sequence[Finalist], machine_of: MachineOf | None
) -> dict[str, list[dict[str, Any] | None]]:
    """By target: the latency of each network, None where it is not known."""
    found: dict[str, list[dict[str, Any] | None]] = {}
    models = [each.model for each in finalists]
    for name, target in zip(work.context.target_names, work.context.targets, strict=True):
        timed = time_models(
            models, target, machine_of, work.console, confidence=work.settings.confidence
        )
        found[name] = [
            None
            if ms is None
            else {"ms": ms, "measured": True}
            if timed.measured
            else {"ms": ms, "measured": False, "high_ms": ms * timed.factor}
            for ms in timed.ms
        ]
    return found


def _undo_disturbed(
    work: Work, timed: Mapping[str, list[dict[str, Any] | None]], stock: Sequence[StockResult]
) -> None:
    """Where other programs disturbed the measurement of stock networks, earlier ones count."""
    for number, rows in enumerate(timed.values()):
        for place, result in enumerate(stock, start=len(rows) - len(stock)):
            now, before = rows[place], timed_before(work.path, result)[number]
            if now is None or before is None or not now["measured"]:
                continue
            if now["ms"] <= DISTURBED * before:
                continue
            work.console.say(
                f"{result.name} took {format_ms(now['ms'])} beside other programs, and "
                f"{format_ms(before)} when it was chosen: that counts"
            )
            rows[place] = {"ms": before, "measured": True}


def _ours(folder: Path) -> Finalist:
    description = read_description(folder)
    architecture, data = description.architecture, description.data
    model = Model(architecture.resolution, data.shape, folder=str(folder))
    return Finalist(architecture.id, model, Normalisation(data.mean, data.std, data.scale))


def _stock(work: Work, result: StockResult) -> Finalist:
    key = folder_of(work.path, result).name
    return Finalist(key, stock_model(work, result), normalisation_of(result))
