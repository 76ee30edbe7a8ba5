from __future__ import annotations

import pytest

from nas.errors import BudgetError, NasError
from nas.units import (
    format_count,
    format_mib,
    format_ms,
    format_size,
    parse_count,
    parse_duration,
    parse_memory,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("5ms", 5.0),
        ("0.8 s", 800.0),
        ("800us", 0.8),
        ("800 \u00b5s", 0.8),
        ("1.5min", 90_000.0),
        ("1h", 3_600_000.0),
        ("2e3 us", 2.0),
        ("5MS", 5.0),
    ],
)
def test_a_duration_is_read_in_milliseconds(text: str, milliseconds: float) -> None:
    assert parse_duration(text) == pytest.approx(milliseconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "The duration '5' has no unit; write 5ms"),
        ("-1ms", "'-1ms' is not a positive finite amount; write one such as 5ms"),
        ("0ms", "'0ms' is not a positive finite amount"),
        ("1e400ms", "'1e400ms' is not a positive finite amount"),
        ("5 lightyears", "unknown unit 'lightyears'. Known units: ns, us, ms, s, min, h"),
        ("5 mss", "unknown unit 'mss'. Did you mean 'ms'?"),
        ("nan", "'nan' is not a finite number with a unit; write one such as 5ms"),
        ("inf", "'inf' is not a finite number"),
        ("", "'' is not a finite number"),
        ("ms", "'ms' is not a finite number"),
        ("1_ms", "unknown unit '_ms'"),
    ],
)
def test_a_duration_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError) as caught:
        parse_duration(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [("2M", 2_000_000), ("250k", 250_000), ("1.5G", 1_500_000_000), ("300000", 300_000)],
)
def test_a_count_takes_powers_of_a_thousand(text: str, count: int) -> None:
    assert parse_count(text) == count


def test_a_decimal_count_is_exact_although_its_float_is_not() -> None:
    assert 4.1 * 1e6 != 4_100_000
    assert parse_count("4.1M") == 4_100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "not a positive finite amount; write one such as 2M"),
        ("-2M", "not a positive finite amount"),
        ("0.5", "The count '0.5' is not a whole number"),
        ("3Q", "unknown unit 'Q'. Known units: k, M, G, T"),
        ("many", "not a finite number"),
    ],
)
def test_a_count_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError) as caught:
        parse_count(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mib"),
    [("16MiB", 16.0), ("1GiB", 1024.0), ("64KB", 64_000 / 2**20), ("512 B", 2**-11)],
)
def test_memory_is_read_in_mib(text: str, mib: float) -> None:
    assert parse_memory(text) == pytest.approx(mib, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("64", "The memory '64' has no unit; write 64MiB"),
        ("3 PB", "unknown unit 'PB'"),
        ("0MiB", "not a positive finite amount"),
    ],
)
def test_memory_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError) as caught:
        parse_memory(text)
    assert message in str(caught.value)


def test_a_budget_error_is_a_value_error_with_exit_code_two() -> None:
    assert issubclass(BudgetError, ValueError)
    assert issubclass(BudgetError, NasError)
    assert BudgetError.exit_code == 2


def test_amounts_are_written_in_the_unit_that_reads_best() -> None:
    assert [format_ms(ms) for ms in (0.0004, 0.8, 4.8712, 1500.0, 720_000.0)] == [
        "0.4 us",
        "800 us",
        "4.87 ms",
        "1.5 s",
        "12 min",
    ]
    assert [format_count(n) for n in (0, 999, 300_000, 999_999, 2_140_000, 1.5e9)] == [
        "0",
        "999",
        "300k",
        "1M",
        "2.14M",
        "1.5G",
    ]
    assert [format_mib(mib) for mib in (0.5, 16.0, 1536.0)] == ["512 KiB", "16 MiB", "1.5 GiB"]


def test_sizes_of_spaces_are_written_out_or_shortened() -> None:
    assert [format_size(n) for n in (16, 7200, 2_440_000)] == ["16", "7,200", "2.44e+06"]
