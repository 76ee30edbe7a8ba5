"""Moves the ranges of a space towards better networks, by its supernet: `nas evolve-space`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from nas.latency import Target
from nas.progress import Progress, Silent
from nas.result import Outcome
from nas.run.context import Context
from nas.run.folder import RESULTS
from nas.run.inputs import say_data
from nas.run.supernets import supernet_of
from nas.space_evolution import evolution, folders, reasons
from nas.space_evolution.request import Judge, JudgeOf, Request
from nas.storage import check_cache
from search_spaces import load_space


def evolve_space(
    request: Request,
    generations: int,
    *,
    out: Path | None = None,
    console: Progress | None = None,
    judge: JudgeOf | None = None,
) -> Outcome:
    """Evolve a space.

    Args:
        request: The space to evolve, its data and its limits.
        generations: Number of spaces to make; spaces already in the folder are not made again.
        out: The folder; a new one under `results/` by default.
        console: Shows the progress.
        judge: Makes the supernet of each generation; by default it is trained.

    Raises:
        NasError: the input is wrong, nothing keeps the limits, or the folder cannot be used.
    """
    folder = out or folders.fresh_folder(RESULTS, request.settings)
    folders.check(folder, request.to_dict(load_space(request.space_name)))
    check_cache()
    context, console = Context(request.settings), console or Silent()
    _ = context.recipe  # raises its errors before anything is written
    say_data(context, console)
    done = evolution.evolve_space(
        request,
        generations,
        folder,
        data_shape=context.data.shape,
        data_id=context.data.id,
        judge=judge or supernets(context, console),
        console=console,
    )
    return Outcome(tuple(_lines(request, folder, done)), _document(request, folder, done))


def supernets(context: Context, console: Progress) -> JudgeOf:
    """The supernets of spaces in files, from the cache or trained now."""

    def judge(file: Path) -> Judge:
        own = Context(context.settings.model_copy(update={"space": str(file.absolute())}))
        trained, space = supernet_of(own, console), own.whole_space
        return Judge(trained.key, lambda code: trained.evaluator(space.decode(code)))

    return judge


def _lines(request: Request, folder: Path, done: list[dict[str, Any]]) -> list[str]:
    """The ranges that moved in each generation, and the next command."""
    lines = []
    for number, generation in enumerate(done):
        lines.append(
            f"space-{number}.yaml: {generation['size']:.3g} architectures, expected error "
            f"{generation['expected_error']:.2%}, top-tier error "
            f"{generation['top_tier_error']:.2%} on its supernet"
        )
        lines += [f"  {line}" for line in reasons.sentences(generation)]
    if done and done[-1]["settled"]:
        lines.append("No range moves any more; more --evaluations would find smaller steps.")
    return [*lines, f"Reasons: {folder / 'reasons.md'}", f"Next: {_next(request, folder, done)}"]


def _document(request: Request, folder: Path, done: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "compared_at_equal": request.cost,
        "spaces": [str(folder / f"space-{i}.yaml") for i in range(len(done) + 1)],
        "next": _next(request, folder, done),
        "generations": done,
    }


def _next(request: Request, folder: Path, done: list[dict[str, Any]]) -> str:
    """The command that searches the evolved space."""
    space = folder / f"space-{len(done)}.yaml"
    words = ["nas", "search", "--space", str(space), "--data", request.settings.data]
    words += request.settings.reading.options()
    if "flip" in request.settings.recipe:
        words.append("--mirror" if request.settings.recipe["flip"] else "--no-mirror")
    target = request.target
    if target is not None:
        words += ["--hardware", target.device]
        usual = Target(target.device)
        for name in ("runtime", "precision", "layout", "batch_size", "threads"):
            value = getattr(target, name)
            if value != getattr(usual, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *str(request.limits).split()])
