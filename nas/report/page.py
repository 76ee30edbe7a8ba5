"""The page: one HTML file with everything in it, readable from any folder, without a network.

content -> pictures -> sections -> page.html      the template, which escapes all text
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from nas.report import compared, drawing, figures, ranking
from nas.report.content import ReportContent
from nas.report.sections import facts, numbered, sections
from nas.storage import atomic_write

FIGURES: dict[str, Callable[[ReportContent], bytes | None]] = {
    "hypervolume": figures.hypervolume,
    "supernet": figures.supernet,
    "ranking": ranking.figure,
    "architecture": lambda content: drawing.architecture(content.best),
}
"""Name of each figure's file, and what draws it."""

FIGURES_OF_TARGETS: dict[str, Callable[[ReportContent, int], bytes | None]] = {
    "compared": compared.figure,
    "front": figures.front,
    "latency": figures.latency,
}
"""Figures of one target each; from the second target on, its number is in the file's name."""


def write_report(run: Path, content: ReportContent) -> Path:
    """Draw the figures to `run/figures/` and write `run/report.html`.

    Returns:
        The page.

    Raises:
        RunError, StorageError: the folder cannot be written to, or the disk is full.
    """
    drawn = {name: draw(content) for name, draw in FIGURES.items()}
    for target in range(len(content.targets)):
        for name, draw_for in FIGURES_OF_TARGETS.items():
            drawn[numbered(name, target)] = draw_for(content, target)
    pictures = {name: picture for name, picture in drawn.items() if picture is not None}
    for name, picture in pictures.items():
        atomic_write(run / "figures" / f"{name}.png", picture)
    page = run / "report.html"
    atomic_write(page, render(content, pictures))
    return page


def render(content: ReportContent, pictures: dict[str, bytes]) -> str:
    """The page's text."""
    environment = Environment(
        loader=PackageLoader("nas.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        content=content, facts=facts(content), sections=sections(content, pictures)
    )
