"""Single steps: the commands `nas train`, `measure`, `retrain`, `export` and `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas.cluster.connection import connected, connected_if
from nas.cluster.measuring import profile_on_node
from nas.cluster.resources import RayChoice, check_hardware
from nas.errors import RunError, SettingsError
from nas.latency import PartsPredictor, Plan, measured_predictor
from nas.latency.devices import check
from nas.latency.profiles import kit as kits
from nas.latency.profiles import kit_times
from nas.latency.profiles.gpu import MeasuredGpuPredictor
from nas.latency.profiles.profile import Subject
from nas.progress import Progress
from nas.result import FrontMember, Outcome, RunResult
from nas.run.compare import compare_also, forget, read_comparison
from nas.run.context import Context
from nas.run.export import DEFAULT_FORMATS, export_all, finished_members, networks_of
from nas.run.front import Front, network_folder
from nas.run.inputs import known_before, say_data
from nas.run.measure import MachineOf
from nas.run.opened import opened
from nas.run.report import report as write_report
from nas.run.resolutions import forget_times
from nas.run.retrain import retrain_all
from nas.run.retraining import Retraining, as_the_run
from nas.run.summary import result_of
from nas.run.supernets import supernet_of, supernet_of_run
from nas.run.threads import keep_helpful_threads
from nas.run.trained import results_of
from nas.run.work import Work
from nas.settings import Settings
from nas.storage import check_cache


def train(settings: Settings, *, console: Progress, ray: RayChoice | None = None) -> Outcome:
    """Train the supernet of a space on its data once; searches reuse it."""
    try:
        check_cache()
        with connected_if(ray) as cluster:
            context = Context(settings)
            say_data(context, console)
            if cluster is None:
                keep_helpful_threads(console)
            trained = supernet_of(context, console, cluster)
    except KeyboardInterrupt as error:
        error.add_note("Run the same command again to continue from its last checkpoint.")
        raise
    last = trained.curve[-1]
    named = [name for name in ("largest", "smallest", "random") if name in last]
    lines = [f"supernet {trained.key}"]
    lines += [f"{name}: {last[name]:.2%} of the validation images" for name in named]
    return Outcome(tuple(lines), {"supernet": trained.key, "curve": trained.curve})


def measure(
    settings: Settings,
    *,
    seconds: float | None = None,
    plan: Plan | None = None,
    console: Progress,
    ray: RayChoice | None = None,
    machine_of: MachineOf | None = None,
) -> Outcome:
    """Measure a space's profile on a device at hand; searches use it from then on.

    Args:
        settings: The target, the space, and data with the images' channels and classes.
        seconds: At most this long for the timed passes; None for the usual time.
        plan: How much to measure; None for the usual plan.
        console: Shows the progress.
        ray: The cluster whose node has the device; None for this machine.
        machine_of: Finds the machine that measures, in this process; by default a process of its
            own measures.

    Raises:
        NotFittedError: the device is not at hand, or too busy to be measured.
        ClusterError: no node of the cluster offers the device.
    """
    check_cache()
    context = Context(settings)
    plan = plan or Plan()
    plan = plan if seconds is None else plan.within(seconds)
    space, target, shape = context.space, context.target, context.data.shape
    if target.device == "cpu":
        forget_times()
    if ray is not None:
        with connected(ray) as cluster:
            check_hardware(cluster.nodes(), target.device)
            profile_on_node(cluster, Subject(space, target, shape), plan, console)
    predictor = measured_predictor(
        space,
        target,
        shape,
        again=ray is None and check(target.device).kind != "board",
        progress=console,
        plan=plan,
        machine=machine_of(target) if machine_of else None,
    )
    return _profiled(predictor)


def write_kit(settings: Settings, folder: Path, *, console: Progress) -> Outcome:
    """Write a kit: networks of a space, to be timed on a device that cannot run nas.

    Raises:
        RunError: the folder is not empty, or cannot be written to.
        MissingExtraError: the ONNX exporter is not installed.
    """
    kits.check_new(folder)
    context = Context(settings)
    data = context.data
    kit = kits.write_kit(
        folder,
        Subject(context.space, context.target, data.shape),
        seed=settings.seed,
        given=_given(context),
        progress=console,
    )
    line = f"{len(kit.codes)} networks of {context.space.name} to measure: {folder}"
    document = {"kit": str(folder), **kit.conditions, "probes": list(kit.codes)}
    return Outcome((line, f"How to measure them: {folder / 'README.md'}"), document)


def _given(context: Context) -> list[str]:
    """The options that name the space and the data again."""
    settings = context.settings
    given = ["--space", settings.space or context.space.name, "--data", settings.data]
    if settings.resolutions is not None:
        given += ["--resolutions", ",".join(map(str, settings.resolutions))]
    return given + settings.reading.options()


def import_times(settings: Settings, times: Path, folder: Path, *, console: Progress) -> Outcome:
    """Store the times of a kit's networks as the profile of their device.

    Raises:
        CheckpointError: there is no kit.
        SettingsError: the times or the target are wrong, or belong to another kit.
        NotFittedError: the times do not fit the networks.
    """
    check_cache()
    kit_times.read_times(times, kits.read_kit(folder).codes)  # before the data, which take longer
    context = Context(settings)
    data = context.data
    subject = Subject(context.space, context.target, data.shape)
    kit_times.import_times(times, folder, subject)
    return _profiled(
        measured_predictor(
            context.space,
            context.target,
            data.shape,
            measure=False,
            progress=console,
        )
    )


def retrain(
    path: Path,
    *,
    top: int,
    how: Retraining,
    console: Progress,
    ray: RayChoice | None = None,
) -> RunResult:
    """Retrain more members of a run's front; retrained members are left as they are.

    Args:
        path: The run.
        top: How many networks for each budget.
        how: Recipe, teacher, and how the cluster is used.
        console: Shows the progress.
        ray: The cluster to train on; None for this process.
    """
    with connected_if(ray) as cluster, opened(path, console, cluster) as (work, front):
        for line in front.fewer_than(top, work.context.target_names):
            console.say(line)
        if cluster is None:
            keep_helpful_threads(console)
        members, done = front.chosen(top), results_of(work.path)
        for member in members:
            if member.id in done:
                console.say(
                    f"{member.id} was retrained before and stays as it is (--top N retrains more; "
                    f"delete {network_folder(work.path, member.id)} to train it anew)"
                )
        if waiting := [member.id for member in members if member.id not in done]:
            forget(work.path, waiting)
        how = as_the_run(how, work.settings)
        retrain_all(work, members, lambda: supernet_of_run(work), how)
        _finish_retrained(work, front)
        return result_of(work.path, work.context)


def _finish_retrained(work: Work, front: Front) -> None:
    """Export retrained networks and add them to the comparison, if neither was done so far."""
    done, compared = results_of(work.path), read_comparison(work.path).networks
    new = [each for each in front.members if each.id in done and each.id not in compared]
    networks = networks_of(work, new, lambda: supernet_of_run(work))
    compare_also(work, export_all(work, networks, DEFAULT_FORMATS))


def export(
    source: Path,
    *,
    formats: tuple[str, ...],
    ids: tuple[str, ...],
    all_of_them: bool = False,
    console: Progress,
) -> Outcome:
    """Write networks of a run's front to folders of their own.

    Args:
        source: The run.
        formats: Besides `architecture.yaml` and `model.safetensors`; if empty, the usual ones.
        ids: Members of the front; if empty, the retrained ones, or else the best.
        all_of_them: Whether to export every member of the front.
        console: Shows the progress.

    Raises:
        SettingsError: ids are given, and all of them are asked for.
        RunError: an id is not on the front, or there is no front to export from.
    """
    if ids and all_of_them:
        raise SettingsError("--all exports every network of the front: leave out --id, or --all.")
    with opened(source, console) as (work, front):
        if all_of_them:
            ids = tuple(member.id for member in front.members)
        members = _wanted(work, front, ids)
        networks = networks_of(work, members, lambda: supernet_of_run(work))
        folders = export_all(work, networks, formats or DEFAULT_FORMATS)
    lines = tuple(str(folder) for folder in folders)
    return Outcome(lines, {"exported": list(lines)})


def report(path: Path, *, console: Progress) -> Outcome:
    """Draw a run's figures again and write its page."""
    with opened(path, console) as (work, _):
        page = write_report(work, known_before(work), supernet_of_run(work))
    return Outcome((str(page),), {"report": str(page)})


def _wanted(work: Work, front: Front, ids: Sequence[str]) -> list[FrontMember]:
    """The members to export.

    Raises:
        RunError: one is not on the front.
    """
    members = {member.id: member for member in front.members}
    wanted = ids or [member.id for member in finished_members(work, front)]
    if missing := [id for id in wanted if id not in members]:
        raise RunError(
            f"Not on the front of '{work.path}': {', '.join(missing)}. "
            f"There are: {', '.join(members)}."
        )
    return [members[id] for id in wanted]


def _profiled(predictor: PartsPredictor | MeasuredGpuPredictor) -> Outcome:
    """The id, target and accuracy of a profile that was just made."""
    document = {
        "profile": predictor.id,
        "target": predictor.target.to_dict(),
        "conditions": predictor.profile.conditions,
        "held_out": dict(predictor.profile.held_out),
    }
    return Outcome((str(predictor),), document)
