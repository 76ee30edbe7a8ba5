"""One step at a time: what `nas train`, `measure`, `retrain`, `export`, `report` do."""

from __future__ import annotations

from pathlib import Path

from nas.errors import RunError
from nas.latency import PartsPredictor, Plan, measured_predictor
from nas.latency.devices import check
from nas.latency.profiles import kit as kits
from nas.latency.profiles import kit_times
from nas.latency.profiles.gpu import MeasuredGpuPredictor
from nas.progress import Progress
from nas.result import Outcome, RunResult
from nas.run import finish as finishing
from nas.run import report as reporting
from nas.run.context import Context
from nas.run.folder import resume_run
from nas.run.summary import result_of
from nas.run.supernets import supernet_of
from nas.run.work import Work
from nas.settings import Settings


def train(settings: Settings, *, console: Progress) -> Outcome:
    """Train the supernet of a space and its data, once; searches reuse it."""
    context = Context(settings)
    trained = supernet_of(context, console)
    last = trained.curve[-1]
    lines = [f"supernet {trained.key}"]
    lines += [f"{name}: {last[name]:.2%} of the validation images" for name in _children(last)]
    return Outcome(tuple(lines), {"supernet": trained.key, "curve": trained.curve})


def measure(settings: Settings, *, seconds: float | None = None, console: Progress) -> Outcome:
    """Measure a device at hand for a space, now; searches use the profile from then on.

    Args:
        settings: The target, the space, and data with the images' channels and classes.
        seconds: For the timed passes, at most; None for what is usual.
        console: Who is told.

    Raises:
        NotFittedError: the device is not at hand, or too busy for the figures to mean anything.
    """
    context = Context(settings)
    plan = Plan() if seconds is None else Plan().within(seconds)
    data = context.data
    predictor = measured_predictor(
        context.space,
        context.target,
        data.in_channels,
        data.num_classes,
        again=check(context.target.device).kind != "board",
        progress=console,
        plan=plan,
    )
    return _profiled(predictor)


def write_kit(settings: Settings, folder: Path, *, console: Progress) -> Outcome:
    """Write networks of a space that a device which cannot host us is measured with.

    Raises:
        RunError: the folder is not empty.
        MissingExtraError: the ONNX exporter is not installed.
    """
    context = Context(settings)
    data = context.data
    kit = kits.write_kit(
        folder,
        context.space,
        context.target,
        data.in_channels,
        data.num_classes,
        seed=settings.seed,
        progress=console,
    )
    line = f"{len(kit.codes)} networks of {context.space.name} to measure: {folder}"
    document = {"kit": str(folder), **kit.conditions, "probes": list(kit.codes)}
    return Outcome((line, f"What to do with them is in {folder / 'README.md'}"), document)


def import_times(settings: Settings, times: Path, folder: Path, *, console: Progress) -> Outcome:
    """Keep the times of a kit's networks as the profile of their device.

    Raises:
        SettingsError: the times or the target are wrong, or not the kit's.
        NotFittedError: the times do not go with the networks.
    """
    context = Context(settings)
    data = context.data
    kit_times.import_times(
        times, folder, context.space, context.target, data.in_channels, data.num_classes
    )
    return _profiled(
        measured_predictor(
            context.space,
            context.target,
            data.in_channels,
            data.num_classes,
            measure=False,
            progress=console,
        )
    )


def retrain(
    path: Path,
    *,
    top: int,
    from_scratch: bool,
    epochs: int | None,
    seed: int | None,
    console: Progress,
) -> RunResult:
    """Train more of a run's front to the end; what is trained already is left as it is."""
    with resume_run(path) as folder:
        work = Work(folder, console)
        _require_front(work)
        chosen_seed = folder.settings.seed if seed is None else seed
        finishing.retrain_chosen(work, top, from_scratch, epochs, chosen_seed)
        return result_of(work)


def export(
    source: Path, *, formats: tuple[str, ...], ids: tuple[str, ...], console: Progress
) -> Outcome:
    """Write networks of a run's front to folders of their own."""
    with resume_run(source) as folder:
        work = Work(folder, console)
        _require_front(work)
        folders = finishing.export_chosen(work, formats or finishing.DEFAULT_FORMATS, ids)
    lines = tuple(str(folder) for folder in folders)
    return Outcome(lines, {"exported": list(lines)})


def report(path: Path, *, console: Progress) -> Outcome:
    """Draw a run's figures anew and write its page."""
    with resume_run(path) as folder:
        work = Work(folder, console)
        _require_front(work)
        page = reporting.report(work)
    return Outcome((str(page),), {"report": str(page)})


def _profiled(predictor: PartsPredictor | MeasuredGpuPredictor) -> Outcome:
    """What a profile rests on."""
    document = {
        "profile": predictor.id,
        "target": predictor.target.to_dict(),
        "conditions": predictor.profile.conditions,
        "held_out": dict(predictor.profile.held_out),
    }
    return Outcome((str(predictor),), document)


def _children(entry: dict[str, float]) -> list[str]:
    return [name for name in ("largest", "smallest", "random") if name in entry]


def _require_front(work: Work) -> None:
    if not work.front():
        raise RunError(
            f"'{work.path}' has no front yet: its search has not finished, or found nothing. "
            f"Continue with: nas resume {work.path}"
        )
