from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

KEYS = {
    "searcher",
    "evaluations",
    "seeds",
    "hypervolume_share",
    "hypervolume_share_std",
    "regret",
    "duplicates",
    "seconds_per_evaluation",
}


@pytest.fixture
def table(tmp_path: Path) -> list[str]:
    """The arguments that name a table of 45 rows."""
    lines = ["op_0,op_1,op_2,acc,lat"]
    for a, b, c in itertools.product(range(3), range(5), range(3)):
        lines.append(f"{a},{b},{c},{50 + 10 * a + 3 * b * c**0.5 - 2 * a * b},{1 + a + 0.5 * b}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    names = ["--code-columns", "op_*", "--maximize", "acc", "--minimize", "lat"]
    return ["bench", "--table", str(path), *names]


def test_one_searcher_is_an_object_and_several_are_a_list(
    run: Callable[..., Result], table: list[str]
) -> None:
    small = ["--evaluations", "10", "--seeds", "2", "--json"]
    one = run(*table, *small, "--searcher", "random")
    assert one.exit_code == 0, one.stderr
    figures = json.loads(one.stdout)
    assert set(figures) >= KEYS
    assert (figures["searcher"], figures["evaluations"], figures["seeds"]) == ("random", 10, 2)
    assert 0 < figures["hypervolume_share"] <= 1
    assert figures["duplicates"] == figures["infeasible"] == 0
    several = run(*table, *small, "--searcher", "random", "--searcher", "optuna-nsga2")
    listed = json.loads(several.stdout)
    assert [entry["searcher"] for entry in listed] == ["random", "optuna-nsga2"]
    timeless = {key: value for key, value in figures.items() if "seconds" not in key}
    assert timeless.items() <= listed[0].items()


def test_a_table_of_figures_is_printed_and_progress_goes_to_stderr(
    run: Callable[..., Result], table: list[str]
) -> None:
    result = run(*table, "--evaluations", "45", "--seeds", "2", "--budget", "2.5")
    assert result.exit_code == 0, result.stderr
    assert "45 evaluations, 2 seeds: share of the true hypervolume, regret of acc" in result.stdout
    for part in ("area", "regret", "repeats", "infeasible", "1.0000"):
        assert part in result.stdout
    assert "Benchmark: 45 rows, 3 genes, 18 within the budget" in result.stderr
    assert "fewer than the 45 evaluations: a run ends when all 18 are evaluated" in result.stderr


def test_the_evaluated_rows_are_recorded_in_order(
    run: Callable[..., Result], table: list[str]
) -> None:
    many = ["--evaluations", "60", "--seeds", "2", "--seed", "5", "--record", "rows.json"]
    assert run(*table, *many, "--searcher", "random").exit_code == 0
    rows = json.loads(Path("rows.json").read_text())
    assert [sorted(of_seed) for of_seed in rows] == [list(range(45))] * 2
    assert rows[0] != rows[1]
    assert run(*table, *many, "--searcher", "random", "--searcher", "evolution").exit_code == 0
    several = json.loads(Path("rows.json").read_text())
    assert sorted(several) == ["evolution", "random"]
    assert several["random"] == rows


def test_a_table_with_enough_rows_says_nothing_of_it(
    run: Callable[..., Result], table: list[str]
) -> None:
    assert "fewer than" not in run(*table, "--evaluations", "45", "--seeds", "1").stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--table", "none.csv"], "There is no table 'none.csv'"),
        (["--minimize", "lats"], "no column 'lats'. Did you mean 'lat'?"),
        (["--budget", "0.1"], "No row of the table has a lat of 0.1 or less: the least is 1"),
        (["--searcher", "randon"], "Unknown searcher 'randon'. Did you mean 'random'?"),
        (["--evaluations", "0"], "Invalid value for '--evaluations'"),
    ],
)
def test_a_mistake_ends_with_one_message_before_anything_runs(
    run: Callable[..., Result],
    table: list[str],
    more: list[str],
    message: str,
) -> None:
    result = run(*table, *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "Benchmark:" not in result.stderr


def test_a_budget_without_a_minimised_column_is_refused(
    run: Callable[..., Result], table: list[str]
) -> None:
    result = run(*table[:-2], "--budget", "2")
    assert result.exit_code == 2
    assert "--budget limits the first --minimize column" in result.stderr


@pytest.mark.parametrize(
    "heavy", [["--help"], ["--searcher", "evolution", "--evaluations", "20", "--seeds", "1"]]
)
def test_it_imports_no_torch(table: list[str], heavy: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["nas", *{[*table, *heavy]!r}]
from nas.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
found = {{"torch", "timm", "optuna", "pymoo", "nni"}} & set(sys.modules)
assert not found, found
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
