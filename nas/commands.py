"""One step at a time: what `nas train`, `measure`, `predict`, `retrain`, `export`, `report` do."""

from __future__ import annotations

from pathlib import Path

from nas import finishing, reporting
from nas.context import Context
from nas.errors import RunError
from nas.latency import predictor_for
from nas.progress import Progress
from nas.result import Outcome, RunResult
from nas.runs import find_run, resume_run
from nas.settings import Settings
from nas.storage import read_json
from nas.summary import result_of
from nas.supernets import supernet_of
from nas.units import format_ms
from nas.work import Work
from search_spaces import Architecture


def train(settings: Settings, *, console: Progress) -> Outcome:
    """Train the supernet of a space and its data, once; searches reuse it."""
    context = Context(settings)
    trained = supernet_of(context, console)
    last = trained.curve[-1]
    lines = [f"supernet {trained.key}"]
    lines += [f"{name}: {last[name]:.2%} of the validation images" for name in _children(last)]
    return Outcome(tuple(lines), {"supernet": trained.key, "curve": trained.curve})


def measure(settings: Settings, *, console: Progress) -> Outcome:
    """Measure this machine for a space, once; searches reuse the profile."""
    context = Context(settings)
    data = context.data
    predictor = predictor_for(
        context.space, context.target, data.in_channels, data.num_classes, progress=console
    )
    held_out = dict(predictor.profile.held_out)
    document = {
        "profile": predictor.id,
        "target": context.target.to_dict(),
        "conditions": predictor.profile.conditions,
        "held_out": held_out,
    }
    return Outcome((str(predictor),), document)


def predict(network: str, settings: Settings, *, console: Progress) -> Outcome:
    """The latency of one architecture of a space, with its 90 % interval.

    Args:
        network: An architecture file, or RUN/ID of a front.
        settings: The target, and the space whose profile predicts.
        console: Who is told.

    Raises:
        RunError: there is no such file or member.
        SpaceError: the file is no architecture of the space.
    """
    context = Context(settings)
    architecture = _architecture(network)
    data = context.data
    predictor = predictor_for(
        context.space, context.target, data.in_channels, data.num_classes, progress=console
    )
    found = predictor.predict(context.space.encode(architecture)[None])
    ms, low, high = float(found.ms[0]), float(found.low_ms[0]), float(found.high_ms[0])
    document = {
        "id": architecture.id,
        "target": context.target.to_dict(),
        "latency_ms": ms,
        "low_ms": low,
        "high_ms": high,
        "throughput_img_s": 1000.0 * context.target.images / ms,
    }
    line = f"{architecture.id}: predicted {format_ms(ms)} ({format_ms(low)} to {format_ms(high)})"
    return Outcome((line, f"on {context.target}"), document)


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


def _children(entry: dict[str, float]) -> list[str]:
    return [name for name in ("largest", "smallest", "random") if name in entry]


def _require_front(work: Work) -> None:
    if not work.front():
        raise RunError(
            f"'{work.path}' has no front yet: its search has not finished, or found nothing. "
            f"Continue with: nas resume {work.path}"
        )


def _architecture(network: str) -> Architecture:
    path = Path(network)
    if path.is_file():
        from nas.export import read_architecture

        return read_architecture(path)
    run = find_run(path.parent)
    front = {entry["id"]: entry for entry in read_json(run / "front.json")["front"]}
    if path.name not in front:
        raise RunError(
            f"There is no '{path.name}' on the front of '{run}'. There are: {', '.join(front)}."
        )
    return Architecture.from_dict(front[path.name]["architecture"])
