"""The whole flow, from a space to an exported network, as one function to read.

    space -> latency -> supernet -> search -> verify -> measure -> retrain
          -> export -> baselines -> compare -> report

Latency comes before the supernet, so that a run ends at once if nothing can keep its budget. The
test split is opened when nothing is left to choose: for networks that were retrained, and for all
of them in `compare`. Each step writes its result to the run folder or the cache, and reads it from
there when a run is continued. So a run that was stopped at any moment goes on where it was.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from nas.cluster.connection import connected_if
from nas.cluster.resources import RayChoice
from nas.progress import Progress, Silent
from nas.result import RunResult
from nas.run.baselines import stock_networks
from nas.run.compare import compare
from nas.run.context import Context
from nas.run.export import export_chosen, export_recommended, finished_members
from nas.run.folder import check_out, open_run, resume_run
from nas.run.inputs import check_inputs, check_profiles, say_data
from nas.run.journal import check_journal, journal_of
from nas.run.known_latencies import know_latencies
from nas.run.measure import MachineOf, measure
from nas.run.report import report
from nas.run.resolutions import narrow_by_budgets
from nas.run.retrain import retrain_all
from nas.run.retraining import asked_by
from nas.run.search import search_front
from nas.run.steps import STEPS, Step
from nas.run.summary import result_of
from nas.run.supernets import TrainedSupernet, supernet_of_run
from nas.run.verify import verify
from nas.run.work import LastStep, Work
from nas.settings import Settings
from nas.storage import check_cache
from nas.units import format_size

_LOG = logging.getLogger(__name__)


def flow(work: Work, machine_of: MachineOf | None = None) -> None:
    """Every step in order; each takes the results of earlier ones.

    Args:
        work: The run.
        machine_of: Finds the machine that measures the front on a target, in this process; by
            default a process of its own measures.

    Raises:
        LastStep: the last step that was asked for has finished.
    """
    s = work.settings
    with work.step("space"):
        _say_space(work)
    with work.step("latency"):
        known = know_latencies(work)
        check_profiles(work, known)
    with work.step("supernet"):
        supernet = _supernet(work)
    with work.step("search"):
        front = search_front(work, known, supernet)
    with work.step("verify", asked=s.verify > 0):
        front = verify(work, front, lambda: supernet)
    with work.step("measure"):
        measured = measure(work, front, machine_of)
    with work.step("retrain", asked=s.retrain_top > 0):
        for line in measured.fewer_than(s.retrain_top, work.context.target_names):
            work.console.say(line)
        retrain_all(work, measured.chosen(s.retrain_top), lambda: supernet, asked_by(s))
    with work.step("export"):
        folders = export_chosen(work, finished_members(work, measured), lambda: supernet)
    with work.step("baselines", asked=bool(work.context.baselines)):
        stock = stock_networks(work, measured, machine_of)
    with work.step("compare"):
        compare(work, measured, supernet, folders, stock, machine_of)
        recommended = result_of(work.path, work.context).recommended
        export_recommended(work, measured, recommended, supernet)
    with work.step("report"):
        work.console.say(f"open {report(work, known, supernet)}")


def run(
    settings: Settings,
    *,
    out: Path | None = None,
    until: Step | None = None,
    console: Progress | None = None,
    machine_of: MachineOf | None = None,
    ray: RayChoice | None = None,
    journal: str | None = None,
) -> RunResult:
    """Search for the best networks within the budgets, retrain the best and export them.

    Args:
        settings: All choices.
        out: The run's folder; a new one under `results/` by default.
        until: The last step to take.
        console: Shows the progress.
        machine_of: Finds the machine that measures the front on a target, in this process; by
            default a process of its own measures.
        ray: The cluster to work on; None for this process. The result does not depend on it.
        journal: A PostgreSQL database for the study; None for a file in the folder.

    Raises:
        NasError: the input is wrong, the budget is infeasible, or the folder cannot be used.
    """
    begun = check_out(settings, out)
    check_cache()
    context = Context(begun or settings)
    context.check()
    check_journal(journal)
    if begun is None:
        context.keep_threads()
        narrow_by_budgets(context, console or Silent(), machine_of)
    with (
        connected_if(ray) as cluster,
        open_run(context.settings, out) as folder,
        journal_of(folder.path, journal) as study,
    ):
        work = Work(folder, context, console or Silent(), until or STEPS[-1], cluster, study)
        return _finished(work, machine_of)


def resume(
    path: Path,
    *,
    console: Progress | None = None,
    ray: RayChoice | None = None,
    journal: str | None = None,
) -> RunResult:
    """Continue an interrupted run with the settings it was started with, here or on a cluster."""
    with (
        connected_if(ray) as cluster,
        resume_run(path) as folder,
        journal_of(folder.path, journal) as study,
    ):
        context = Context(folder.settings)
        work = Work(folder, context, console or Silent(), cluster=cluster, journal=study)
        return _finished(work, None)


def _finished(work: Work, machine_of: MachineOf | None) -> RunResult:
    """Take the steps that have not finished, then return the run's result."""
    if not work.finished:
        check_cache()
        check_inputs(work)
        with contextlib.suppress(LastStep):
            flow(work, machine_of)
    return result_of(work.path, work.context)


def _say_space(work: Work) -> None:
    """Show the space and the data."""
    context, console = work.context, work.console
    size, asked = context.space.size(), context.evaluations
    console.say(f"{context.space.name}: {format_size(size)} architectures")
    if size < asked:
        console.say(f"that is fewer than the {asked} evaluations, so the search ends after {size}")
    say_data(context, console)
    _LOG.info("recipe %s, augmentation %r", context.recipe, context.augmentation)


def _supernet(work: Work) -> TrainedSupernet:
    """The trained supernet; shows its children's validation accuracies."""
    trained = supernet_of_run(work)
    last = trained.curve[-1]
    said = ", ".join(f"{k} {last[k]:.1%}" for k in ("largest", "smallest", "random"))
    work.console.say(f"validation accuracy of children: {said}")
    return trained
