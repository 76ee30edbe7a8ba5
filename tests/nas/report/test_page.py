from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.report import ReportContent, drawing, write_report
from nas.report.page import FIGURES, FIGURES_OF_TARGETS
from nas.report.style import png_size
from nas.result import Answer, Corrected, Latency, NamedTarget
from nas.search.objectives import Budgets


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert self.opened == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.attributes if name == tag]


def written(content: ReportContent, run: Path) -> Outline:
    page = write_report(run, content)
    assert page == run / "report.html"
    return Outline(page.read_text())


def test_a_full_report_has_every_figure_as_a_file_and_in_the_page(
    full: ReportContent, tmp_path: Path
) -> None:
    page = written(full, tmp_path)
    files = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert files == {*FIGURES, *FIGURES_OF_TARGETS}
    for file in (tmp_path / "figures").iterdir():
        content = file.read_bytes()
        assert content.startswith(b"\x89PNG") and min(png_size(content)) > 300
    pictures = page.all("img")
    assert len(pictures) == len(files)
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/png;base64,")
        assert len(picture["alt"] or "") > 20


def test_the_page_says_what_the_supernets_word_is_worth(
    full: ReportContent, tmp_path: Path
) -> None:
    words = " ".join(written(full, tmp_path).words.split())
    assert "What the supernet's word is worth" in words
    assert "How well each score ranks 6 networks as their own accuracies do" in words
    assert "MACs-1.00 (-1.00 to -1.00)" in words


def test_the_network_to_use_is_the_recommended_one(full: ReportContent, tmp_path: Path) -> None:
    assert full.best is not None
    folders = (Path("networks/0first"), Path("networks") / full.best.id)
    words = written(dataclasses.replace(full, exported=folders), tmp_path).words
    side = full.best.resolution
    assert f"load_exported('networks/{full.best.id}')" in words
    assert f"(batch, channels, {side}, {side})" in words
    words = written(dataclasses.replace(full, exported=folders[:1]), tmp_path).words
    assert "load_exported('networks/0first')" in words and "(batch, channels, R, R)" in words


def test_corrected_scores_have_a_column_and_are_explained(
    full: ReportContent, tmp_path: Path
) -> None:
    corrected = Corrected("accuracy", 0.9, 0.85, 0.93)
    front = [dataclasses.replace(member, corrected=corrected) for member in full.front]
    words = written(dataclasses.replace(full, front=front), tmp_path).words
    for said in ("The front is drawn from the corrected scores", "90.0% (85.0 to 93.0)"):
        assert said in words
        assert said not in written(full, tmp_path).words


def test_the_page_needs_nothing_from_elsewhere(full: ReportContent, tmp_path: Path) -> None:
    page = written(full, tmp_path)
    for _, attributes in page.attributes:
        for value in attributes.values():
            assert "http" not in (value or "") and not (value or "").startswith("//")
    assert "@import" not in page.words and "url(" not in page.words
    assert not page.all("script") and not page.all("link")


def test_the_page_says_the_target_the_numbers_and_how_to_go_on(
    full: ReportContent, tmp_path: Path
) -> None:
    words = written(full, tmp_path).words
    for said in (
        full.target,
        "90.0% (86.0 to 93.0)",
        "2.70 to 3.30",
        "2.90",
        "1.5M",
        "120k",
        "512 KiB",
        "99.0% (95.6 to 99.8)",
        "Within 5 ms: " + full.front[1].id + ". It is good.",
        "The search paid.",
        "The supernet started from the weights of a network.",
        "levit_128s at 48 px",
        "75.0% (67.3 to 81.4)",
        "from scratch",
        "tiny <on> digits",
        "images are <small>",
        "load_exported('results/run/networks/x')",
        "Of 2 held-out networks, 1 were predicted within 10 % and 1 lie",
        "not set",
        "nas search",
        "shared weights",
    ):
        assert said in words, said
    assert "No random search was run" not in words


def test_the_workers_of_a_cluster_are_shown(full: ReportContent, tmp_path: Path) -> None:
    page = write_report(tmp_path, full).read_text()
    assert "The workers" in page
    for shown in ("1,200", "20", "75%", "worker 3 on 10.0.0.2 died"):
        assert shown in page


def test_headers_name_rows_and_columns(full: ReportContent, tmp_path: Path) -> None:
    page = written(full, tmp_path)
    assert page.all("html")[0]["lang"] == "en"
    assert all(attributes["scope"] in ("row", "col") for attributes in page.all("th"))
    chosen = [attributes for attributes in page.all("tr") if attributes.get("class") == "chosen"]
    assert len(chosen) == 2  # of the front, and of all networks side by side


def test_a_search_without_a_random_one_beside_it_says_so(
    full: ReportContent, tmp_path: Path
) -> None:
    words = written(dataclasses.replace(full, random_records=()), tmp_path).words
    assert "No random search was run to compare with." in words


def test_what_is_not_there_is_left_out(empty: ReportContent, tmp_path: Path) -> None:
    page = written(empty, tmp_path)
    assert "The search has found no front yet." in page.words
    assert page.all("img") == [] and not (tmp_path / "figures").exists()
    assert len(page.all("section")) == 1


def test_two_targets_have_a_figure_each_and_several_budgets_a_table(
    full: ReportContent, tmp_path: Path
) -> None:
    other = NamedTarget("a100", "a100 (eager, fp16, batch 32)")
    front = [
        dataclasses.replace(m, latencies=(*m.latencies, Latency("a100", ms, 1.0, 9.0)))
        for m, ms in zip(full.front, (5.5, 4.0), strict=True)
    ]
    found = [
        dataclasses.replace(
            r,
            latencies=(*r.latencies, Latency("a100", 9.0 - r.latencies[0].predicted_ms, 1.0, 9.0)),
        )
        for r in full.records
    ]
    limits = ((2.0, None), (4.0, 8.0), (5.0, 8.0))
    best = (None, front[0].id, front[1].id)
    content = dataclasses.replace(
        full,
        targets=[*full.targets, other],
        front=front,
        records=found,
        random_records=found[:10],
        budgets=Budgets(limits),
        answers=[Answer(each, id) for each, id in zip(limits, best, strict=True)],
        recommended=[dataclasses.replace(full.recommended[0], limits_ms=limits[-1])],
    )
    page = written(content, tmp_path)
    files = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert files == {*FIGURES, *FIGURES_OF_TARGETS, "front-2", "compared-2"}
    for said in (
        "The best network for each budget",
        "2 ms on cpu",
        "none was found",
        "4 ms on cpu and 8 ms on a100",
        "predicted ms on a100",
        "measured ms on cpu",
        "Its latency on a100, predicted",
        "Its latency on cpu, measured",
        f"Targets: {full.target}; {other.words}",
        "The volume between the front and the reference point",
    ):
        assert said in page.words, said
    assert all(0 <= curve[-1] < 1 for curve in content.hypervolumes.values())


def test_nothing_measured_nothing_retrained_and_no_budget_is_drawn_as_well(
    full: ReportContent, tmp_path: Path
) -> None:
    front = [
        dataclasses.replace(
            m,
            latencies=tuple(dataclasses.replace(at, measured_ms=None) for at in m.latencies),
            test_accuracy=None,
            shared_test_accuracy=None,
        )
        for m in full.front
    ]
    content = dataclasses.replace(
        full,
        front=front,
        held_out=(),
        budgets=Budgets(),
        retrained=(),
        best=None,
        stock=(),
        recommended=(),
    )
    page = written(content, tmp_path)
    assert len(page.all("img")) == 4  # front, hypervolume, supernet, ranking
    assert "Stars are retrained" not in page.words


def test_equal_content_gives_an_equal_report(full: ReportContent, tmp_path: Path) -> None:
    one, two = write_report(tmp_path / "a", full), write_report(tmp_path / "b", full)
    assert one.read_bytes() == two.read_bytes()


def test_a_folder_that_is_a_file_is_refused(empty: ReportContent, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        write_report(tmp_path / "run", empty)


def test_the_drawing_is_described_in_words(full: ReportContent) -> None:
    assert full.best is not None
    words = drawing.describe(full.best)
    assert words.startswith("Images of 8 pixels; stem conv(stride=1, activation=gelu); stage 1")
    assert "stage 2, 20 channels: window(size=4, shifted=True" in words
