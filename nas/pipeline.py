"""The whole flow, from a space to an exported network, as one function to read.

    space -> latency -> supernet -> search -> measure -> retrain -> export -> report

Latency comes before the supernet, so that a budget nothing can keep ends a run at once. Each step
leaves its result in the run folder or the cache before it counts as finished: a run that was
stopped at any moment goes on where it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nas.errors import ExportError, InfeasibleError, NotFittedError
from nas.latency import Target, measure_finalists
from nas.latency.profiles.speed import tell_speed
from nas.latency.timing.measure import machine_of
from nas.progress import Progress, Silent
from nas.result import RunResult
from nas.run import finish as finishing
from nas.run import report as reporting
from nas.run.context import Context
from nas.run.folder import open_run, resume_run
from nas.run.steps import STEPS, Step
from nas.run.summary import only_predicted, result_of, unanswered
from nas.run.work import Member, Work, to_json
from nas.search.front_file import front_document, write_front
from nas.search.objectives import limits_in_words
from nas.search.study import mirror
from nas.settings import Settings
from nas.storage import atomic_write
from nas.units import format_ms

_LOG = logging.getLogger(__name__)


def run(
    settings: Settings,
    *,
    out: Path | None = None,
    until: Step | None = None,
    console: Progress | None = None,
) -> RunResult:
    """Search for the best networks within the budgets, retrain the best and export them.

    Args:
        settings: All choices.
        out: The run's folder; a new one under `results/` by default.
        until: The last step to take.
        console: Who is told.

    Raises:
        NasError: the input is wrong, the budget is infeasible, or the folder cannot be used.
    """
    context = Context(settings)
    context.check()
    with open_run(settings, out) as folder:
        return _take_steps(Work(folder, console or Silent(), context), until)


def resume(path: Path, *, console: Progress | None = None) -> RunResult:
    """Continue an interrupted run with the settings it was started with."""
    with resume_run(path) as folder:
        return _take_steps(Work(folder, console or Silent()), until=None)


def _take_steps(work: Work, until: Step | None) -> RunResult:
    folder = work.folder
    for step in STEPS:
        if not folder.finished(step):
            work.console.step(step)
            started = time.monotonic()
            _STEPS[step](work)
            seconds = time.monotonic() - started
            folder.finish(step, seconds)
            _LOG.info("%s took %.1f s", step, seconds)
        if step == until:
            break
    return result_of(work)


def _space(work: Work) -> None:
    """What is searched, on what."""
    context = work.context
    space, data = context.whole_space, context.data
    work.console.say(f"{space.name}: {space.size():.2e} architectures")
    work.console.say(
        f"{data.name}: {len(data.train)} images to train, {len(data.validation)} to validate"
    )
    for note in data.notes:
        work.console.say(note)
    _LOG.info("recipe %s, augmentation %s", context.recipe, context.augmentation)


def _latency(work: Work) -> None:
    """Latencies on the targets are known, and every budget can be kept."""
    for predictor in work.predictors:
        work.console.say(str(predictor))
        tell_speed(predictor, work.console)
    work.console.say(str(work.feasibility()))


def _supernet(work: Work) -> None:
    """One set of weights for all architectures."""
    last = work.trained.curve[-1]
    said = ", ".join(f"{k} {last[k]:.1%}" for k in ("largest", "smallest", "random"))
    work.console.say(f"validation accuracy of children: {said}")


def _search(work: Work) -> None:
    """Children evaluated one after the other; what is worth having goes to `front.json`."""
    records = work.search(work.settings.searcher, work.path / "evaluations.jsonl")
    space = work.context.space
    names = work.context.target_names
    latencies = ["latency_ms"] if len(names) == 1 else [f"ms on {name}" for name in names]
    mirror(work.path / "study.journal", records, space.genes, work.settings.metric, latencies)
    document = front_document(
        records,
        budgets=work.context.budgets,
        metric=work.settings.metric,
        describe=lambda code: space.decode(np.array(code)).to_dict(),
        supernet=work.trained.key,
        targets=[
            {"target": predictor.target.to_dict(), "latency_profile": predictor.id}
            for predictor in work.predictors
        ],
        data=work.context.dataset.id,
    )
    write_front(work.path / "front.json", document)
    work.console.say(f"{len(document['front'])} architectures on the front")


def _measure(work: Work) -> None:
    """The front on each target that can be measured here."""
    front, targets = work.front(), []
    for target, name in zip(work.context.targets, work.context.target_names, strict=True):
        networks, reason = {}, None
        try:
            networks = _measured(work, front, target)
        except (NotFittedError, ExportError) as error:
            if target.device == "cpu":
                raise
            reason = str(error)
            work.console.say(only_predicted(name, reason))
        targets.append({"target": target.to_dict(), "networks": networks, "reason": reason})
    atomic_write(work.path / "measured.json", to_json({**targets[0], "targets": targets}))
    over = [member for member in work.front() if not work.keeps_budget(member)]
    if over and len(over) == len(front):
        raise _nothing_kept(work, over)
    if over:
        named = ", ".join(member.id for member in over)
        work.console.say(f"measured beyond the budget, so left out: {named}")
    for line in unanswered(work):
        work.console.say(line)


def _measured(work: Work, front: list[Member], target: Target) -> dict[str, dict[str, float]]:
    """By id, what members of the front take on a target.

    Raises:
        NotFittedError, ExportError: it cannot be measured here.
    """
    if not front:
        return {}
    data = work.context.data
    measured = measure_finalists(
        [member.architecture for member in front],
        target,
        data.in_channels,
        data.num_classes,
        progress=work.console,
        machine=machine_of(target),
    )
    work.console.say(f"repeat noise of {target.device}: {measured.repeat_noise:.1%}")
    return {
        member.id: {"ms": float(ms), "spread": float(spread)}
        for member, ms, spread, fits in zip(
            front, measured.ms, measured.spread, measured.fits, strict=True
        )
        if fits
    }


def _nothing_kept(work: Work, over: list[Member]) -> InfeasibleError:
    names = work.context.target_names
    asked = " or ".join(
        limits_in_words(limits, names) for limits in work.context.budgets.budget_sets
    )
    fastest = min(ms for member in over for ms in member.measured_ms if ms is not None)
    return InfeasibleError(
        f"All {len(over)} architectures of the front are predicted to keep the budget of {asked}, "
        f"but none was measured within it: the fastest took {format_ms(fastest)}. The machine is "
        "slower now than its latencies say. Continue when it is quiet, or raise --budget."
    )


def _retrain(work: Work) -> None:
    """The best answers, trained to the end and scored on the test split."""
    s = work.settings
    finishing.retrain_chosen(work, s.retrain_top, s.from_scratch, s.retrain_epochs, s.seed)


def _export(work: Work) -> None:
    """What was retrained, or else the best children, as files that run without us."""
    finishing.export_chosen(work, finishing.DEFAULT_FORMATS)


def _report(work: Work) -> None:
    """Figures and one page."""
    path = reporting.report(work)
    work.console.say(f"open {path}")


_STEPS: Mapping[Step, Callable[[Work], None]] = {
    "space": _space,
    "latency": _latency,
    "supernet": _supernet,
    "search": _search,
    "measure": _measure,
    "retrain": _retrain,
    "export": _export,
    "report": _report,
}
