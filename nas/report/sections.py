"""What the page says: its sections, each with its words, figures and tables."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.report import compared, drawing, ranking
from nas.report.content import ReportContent
from nas.report.style import png_size
from nas.report.tables import (
    Table,
    answers_table,
    environment_table,
    front_table,
    retrained_table,
    settings_table,
    share,
    surrogates_table,
    workers_table,
)
from nas.search.objectives import limits_in_words
from nas.units import format_ms

ON_PAGE = 0.77
"""Pixels of the page per pixel of a figure: makes its letters as large as the captions'."""


@dataclass(frozen=True)
class Figure:
    """A picture on the page, with its description for those who do not see it."""

    png: bytes
    alt: str
    caption: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the page."""
        width, height = png_size(self.png)
        return round(width * ON_PAGE), round(height * ON_PAGE)

    @property
    def source(self) -> str:
        """The picture itself as an address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Section:
    """What stands under one heading, in this order; what is empty is left out."""

    title: str
    text: str = ""
    folders: Sequence[Path] = ()
    program: str = ""
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing under the heading."""
        words = (self.text, self.folders, self.program, self.notes)
        return not (any(words) or self.figures or any(table.rows for table in self.tables))


def facts(content: ReportContent) -> list[tuple[str, str]]:
    """The run in a few numbers, each with its name."""
    listed = [("Architectures evaluated", f"{len(content.records):,}")]
    listed.append(("On the front", str(len(content.front))))
    if content.budgets.limits_latency:
        names = [target.name for target in content.targets]
        asked = [limits_in_words(limits, names) for limits in content.budgets.budget_sets]
        kind = "Latency budget" if len(asked) == 1 else "Latency budgets"
        listed.insert(0, (kind, ", ".join(asked)))
    shown = None if content.best is None else content.best.id
    for best in content.front:
        if best.id != shown or best.test_accuracy is None:
            continue
        score = share(best.test_accuracy, content.test_images)
        listed.append(("Test accuracy, trained alone", score))
        for target, latency in enumerate(best.latencies):
            how = "predicted" if latency.measured_ms is None else "measured"
            listed.append((f"Its latency{content.on(target)}, {how}", format_ms(latency.ms)))
    return listed


def sections(content: ReportContent, pictures: Mapping[str, bytes]) -> list[Section]:
    """The page's sections in order, without those that have nothing to show."""
    all_of_them = (
        _recommended(content, pictures),
        _answers(content),
        _front(content, pictures),
        _use(content),
        _best(content, pictures),
        _search(content, pictures),
        _latency(content, pictures),
        _supernet(content, pictures),
        _ranking(content, pictures),
        _workers(content),
        Section("Notes", notes=content.notes),
        _conditions(content),
    )
    return [section for section in all_of_them if not section.empty]


def numbered(name: str, target: int) -> str:
    """What the figure of a target is called."""
    return name if target == 0 else f"{name}-{target + 1}"


def _recommended(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    """What to use within each budget and why, beside the stock networks."""
    said: list[str] = []
    for each in content.recommended:
        within = f"Within {content.within(each)}: " if content.within(each) else ""
        said.append(f"{within}{each.id or 'no network'}. {each.reason}")
        said += [each.verdict] if each.verdict else []
    captions = [
        "All networks on the test images, each with its 90 % interval, at its latency. Networks "
        "were chosen by their validation scores, not by these.",
        *[""] * (len(content.targets) - 1),
    ]
    alt = "Test accuracy against latency, our networks beside stock ones"
    drawn = [
        _figure(pictures, numbered("compared", target), f"{alt}{content.on(target)}", caption)
        for target, caption in enumerate(captions)
    ]
    tables = [compared.table(content)] if content.test_images else []
    return Section("Recommended", notes=said, figures=_known(drawn), tables=tables)


def _answers(content: ReportContent) -> Section:
    tables = [answers_table(content)] if len(content.answers) > 1 else []
    return Section("The best network for each budget", tables=tables)


def _front(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    if not content.front:
        return Section("The front", text="The search has found no front yet.")
    caption = (
        "Each grey point is one architecture with the supernet's shared weights, at its predicted "
        "latency. The line joins the front: the architectures that no other one beats in both "
        "accuracy and latency."
    )
    if any(member.corrected is not None for member in content.front):
        caption += (
            " The front is drawn from the corrected scores: what networks that were trained alone "
            "say of all others. So its points lie elsewhere than the grey ones."
        )
    if len(content.targets) > 1:
        caption += " Points of the front that lie off the line are faster on another target."
    if content.budgets:
        caption += f" A latency budget is checked against the upper end of the {content.interval}."
    if any(member.test_accuracy is not None for member in content.front):
        caption += (
            " Stars are retrained networks, scored on the test split: do not compare their "
            "accuracy with that of the points."
        )
    alt = "Accuracy against latency of all evaluations"
    captions = [caption, *[""] * (len(content.targets) - 1)]
    drawn = [
        _figure(pictures, numbered("front", target), f"{alt}{content.on(target)}", said)
        for target, said in enumerate(captions)
    ]
    return Section("The front", figures=_known(drawn), tables=[front_table(content)])


def _use(content: ReportContent) -> Section:
    title = "Use the network"
    if not content.exported:
        return Section(title)
    best, folder, side = content.best, str(content.exported[0]), "R"
    if best is not None:
        for exported in content.exported:
            if exported.name == best.id:
                folder, side = str(exported), str(best.resolution)
    lines = [
        "from nas.export import load_exported",
        f"network = load_exported({folder!r})",
        f"scores = network(images)    # images: (batch, channels, {side}, {side}), normalised as",
        "                            # architecture.yaml in that folder says",
        "",
        "# or with timm:",
        "import nas.timm, timm",
        f"network = timm.create_model({'local-dir:' + folder!r}, pretrained=True)",
    ]
    return Section(title, folders=content.exported, program="\n".join(lines))


def _best(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    title = "The chosen network"
    if content.best is None:
        return Section(title)
    alt = drawing.describe(content.best)
    caption = (
        f"Network {content.best.id}. Each box is a block: above what mixes positions, below what "
        "mixes channels."
    )
    drawn = _figure(pictures, "architecture", alt, caption)
    return Section(title, figures=_known([drawn]), tables=[retrained_table(content)])


def _search(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    title = "The search"
    if "hypervolume" not in pictures or content.reference_point is None:
        return Section(title)
    accuracy, *latencies = content.reference_point
    corner = ", ".join(f"{format_ms(ms)}{content.on(t)}" for t, ms in enumerate(latencies))
    caption = (
        f"The {'area' if len(latencies) == 1 else 'volume'} between the front and the reference "
        f"point (accuracy {accuracy:.1%}, {corner}), as a share of the box up to accuracy 100 % "
        "and 0 ms. Evaluations beyond a budget add nothing."
    )
    if "random" not in content.hypervolumes:
        caption += " No random search was run to compare with."
    elif len(content.random_records) < len(content.records):
        caption += (
            f" The random search has {len(content.random_records)}, because each takes long."
        )
    drawn = _figure(pictures, "hypervolume", "Hypervolume over evaluations", caption)
    return Section(title, figures=_known([drawn]), tables=[surrogates_table(content)])


def _latency(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    alt = "Measured against predicted latency"
    drawn = [
        _figure(pictures, numbered("latency", i), f"{alt}{content.on(i)}", _held_out(content, i))
        for i in range(len(content.targets))
    ]
    return Section("Predicted and measured latency", figures=_known(drawn))


def _held_out(content: ReportContent, target: int) -> str:
    """How close a target's predictions are to what was measured."""
    caption, pairs = f"On {content.targets[target].words}.", content.held_out_on(target)
    if pairs:
        near = sum(abs(p.predicted_ms / p.ms - 1) <= 0.1 for p in pairs)
        inside = sum(p.low_ms <= p.ms <= p.high_ms for p in pairs)
        caption += (
            f" Of {len(pairs)} held-out networks, {near} were predicted within 10 % and {inside} "
            f"lie within their {content.interval}."
        )
    return caption


def _supernet(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    caption = (
        "Accuracy on the validation split of children of the supernet, with the moving averages "
        "of the shared weights."
    )
    drawn = _figure(pictures, "supernet", "Validation accuracy of children over epochs", caption)
    return Section("The supernet", text=content.origin, figures=_known([drawn]))


def _ranking(content: ReportContent, pictures: Mapping[str, bytes]) -> Section:
    caption = (
        "Each point is a network, with the supernet's weights and trained alone for a short time. "
        "Bars are 90 % intervals for the number of validation images."
    )
    alt = "Accuracy when trained alone against accuracy with shared weights"
    drawn = _figure(pictures, "ranking", alt, caption)
    tables = [ranking.table(content)]
    return Section("What the supernet's word is worth", figures=_known([drawn]), tables=tables)


def _workers(content: ReportContent) -> Section:
    failures = [failure for done in content.on_cluster for failure in done["failures"]]
    return Section("The workers", notes=failures, tables=[workers_table(content)])


def _conditions(content: ReportContent) -> Section:
    tables = [settings_table(content), environment_table(content)]
    return Section("Settings and environment", tables=tables)


def _figure(pictures: Mapping[str, bytes], name: str, alt: str, caption: str) -> Figure | None:
    """The figure of that name; None where it was not drawn."""
    return Figure(pictures[name], alt, caption) if name in pictures else None


def _known(figures: Iterable[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]
