from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from nas.bench.table_file import read_table
from nas.errors import DataError, UnknownNameError

COLUMNS = {"maximize": ["acc"], "minimize": ["lat"]}


def public_table(name):
    """A table that others made, if it is on this machine."""
    default = Path(__file__).parents[4] / "shared" / "data"
    path = Path(os.environ.get("NAS_TEST_DATA", default)) / "nas_tables" / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


def written(tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_text(text)
    return path


def test_a_table_is_read_with_its_categories_numbered_in_their_order(table, csv_file):
    read, notes = read_table(csv_file, ["op_*"], **COLUMNS)
    assert notes == []
    assert read.cardinalities == (4, 3, 5)
    np.testing.assert_array_equal(read.codes, table.codes)  # "8" comes before "12"
    np.testing.assert_array_equal(read.objectives, table.objectives)
    np.testing.assert_array_equal(read.reference, table.reference)


def test_a_zipped_table_reads_the_same(table, csv_file):
    zipped = csv_file.with_suffix(".csv.gz")
    zipped.write_bytes(gzip.compress(csv_file.read_bytes()))
    read, _ = read_table(zipped, ["op_*"], **COLUMNS)
    np.testing.assert_array_equal(read.objectives, table.objectives)


def test_columns_may_be_named_or_matched_in_any_order(csv_file):
    read, _ = read_table(csv_file, ["op_c", "op_?", "op_a"], **COLUMNS)
    assert read.cardinalities == (5, 4, 3)


def test_one_column_of_words_is_read_as_a_gene_per_character(tmp_path):
    path = written(tmp_path, "arch,acc,lat\n012,50,1\n001,51,2\n110,52,3\n")
    read, notes = read_table(path, ["arch"], **COLUMNS)
    assert read.cardinalities == (2, 2, 3)
    np.testing.assert_array_equal(read.codes, [[0, 1, 2], [0, 0, 1], [1, 1, 0]])
    assert notes == ["'arch' is read as 3 genes, one per character"]


def test_rows_without_a_number_and_repeats_are_left_out_and_said(tmp_path):
    path = written(tmp_path, "a,b,acc,lat\n0,0,1,1\n0,1,,2\n1,0,3,nan\n0,0,9,9\n\n1,1,4,4\n\n")
    read, notes = read_table(path, ["a", "b"], **COLUMNS)
    np.testing.assert_array_equal(read.columns[0].values, [1, 4])
    assert notes == [
        "2 rows without a number for every objective are left out",
        "1 rows repeat the code of an earlier one and are left out",
        "some of them have other values: a column of the code may be missing",
    ]


@pytest.mark.parametrize(
    ("text", "codes", "maximize", "error", "message"),
    [
        ("a,acc\n0,1\n", ["b*"], ["acc"], UnknownNameError, r"no column 'b\*'"),
        ("op,acc\n0,1\n", ["op"], ["ac"], UnknownNameError, r"'ac'\. Did you mean 'acc'\?"),
        ("op,acc\n0,1\n", ["*"], ["acc"], DataError, "'acc' is named as code and objective"),
        ("op,acc\n0,1\n", ["op"], ["acc", "acc"], DataError, "or twice. Name it once"),
        ("op,acc\n0,1\n", ["op"], ["a*"], UnknownNameError, r"has no column 'a\*'"),
        ("op,acc\n0,1\n", ["op"], [], DataError, "needs an objective"),
        ("op,acc\n0,\n1,x\n", ["op"], ["acc"], DataError, "no row with a number in each of acc"),
        ("op,acc\n", ["op"], ["acc"], DataError, "no row with a number in each of acc"),
        ("op,acc\n0,1\n1,2,3\n", ["op"], ["acc"], DataError, "Line 3 of .* has 3 columns where"),
        ("", ["op"], ["acc"], DataError, "cannot be read as CSV with a header line"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path, text, codes, maximize, error, message):
    with pytest.raises(error, match=message):
        read_table(written(tmp_path, text), codes, maximize=maximize, minimize=[])


def test_a_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no table '.*none\.csv'"):
        read_table(tmp_path / "none.csv", ["op"], **COLUMNS)
    (tmp_path / "broken.csv.gz").write_bytes(b"not zipped")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_table(tmp_path / "broken.csv.gz", ["op"], **COLUMNS)


@pytest.mark.parametrize(
    ("name", "codes", "maximize", "minimize", "rows", "genes", "best"),
    [
        ("nb201_hw.csv.gz", "op_*", ["acc_cifar10"], ["lat_pixel3"], 15_625, 6, 94.3733),
        (
            "accel_nasbench.csv.gz",
            "block*_*",
            ["val_top1", "throughput_a100"],
            [],
            4_104,
            28,
            None,
        ),
        ("nas_bench_macro_cifar10.csv.gz", "arch", ["mean_acc"], ["flops"], 6_561, 8, None),
    ],
)
def test_public_tables_are_read(name, codes, maximize, minimize, rows, genes, best):
    table, _ = read_table(public_table(name), [codes], maximize=maximize, minimize=minimize)
    assert (table.size(), table.num_genes) == (rows, genes)
    assert best is None or table.columns[0].values.max() == pytest.approx(best, abs=1e-3)


def test_a_byte_order_mark_of_a_spreadsheet_is_no_part_of_a_name(table, csv_file):
    lines = [line.partition(",")[2] for line in csv_file.read_text().splitlines()]
    csv_file.write_text("\n".join(lines), encoding="utf-8-sig")
    read, notes = read_table(csv_file, ["op_*"], **COLUMNS)
    assert (read.size(), read.cardinalities, notes) == (60, (4, 3, 5), [])


@pytest.mark.parametrize(
    ("separator", "encoding", "comma"),
    [(", ", "utf-8", "."), (";", "utf-8-sig", ","), ("\t", "utf-16", "."), (" ;", "utf-8", ".")],
)
def test_other_ways_to_write_a_table_are_read(
    table, csv_file, tmp_path, separator, encoding, comma
):
    path = tmp_path / "other.csv"
    lines = [line.split(",") for line in csv_file.read_text().splitlines()]
    rows = [separator.join(word.replace(".", comma) for word in line) for line in lines]
    text = "\n".join(rows)
    path.write_text(text, encoding=encoding)
    read, notes = read_table(path, ["op_*"], **COLUMNS)
    assert (read.cardinalities, notes) == ((4, 3, 5), [])
    np.testing.assert_array_equal(read.objectives, table.objectives)


def test_whole_numbers_of_64_bits_stay_apart(tmp_path):
    text = "op,x,acc,lat\n9007199254740993,0,1,1\n9007199254740992,0,2,2\n"
    read, _ = read_table(written(tmp_path, text), ["op", "x"], **COLUMNS)
    assert read.cardinalities == (2, 1)


def test_one_number_written_in_two_ways_is_one_category(tmp_path):
    text = "op,x,acc,lat\n1,0,1,1\n1.0,0,1,1\n02,0,2,2\n"
    read, notes = read_table(written(tmp_path, text), ["op", "x"], **COLUMNS)
    assert (read.size(), read.cardinalities) == (2, (2, 1))
    assert notes == ["1 rows repeat the code of an earlier one and are left out"]


def test_digits_with_a_line_between_them_are_words(tmp_path):
    text = "op,x,acc,lat\n3_12_4,0,1,1\n31_2_4,0,2,2\n3_1_2,0,3,3\n0_0,0,4,4_0\n"
    read, notes = read_table(written(tmp_path, text), ["op", "x"], **COLUMNS)
    assert (read.size(), read.cardinalities) == (3, (3, 1))
    assert notes == ["1 rows without a number for every objective are left out"]


def test_an_empty_cell_of_a_code_is_said(tmp_path):
    text = "op,x,acc,lat\n,0,1,1\n2,0,2,2\n"
    _, notes = read_table(written(tmp_path, text), ["op", "x"], **COLUMNS)
    assert notes == ["1 rows have an empty cell in their code, read as a category"]


@pytest.mark.parametrize("number", ["94%", '"94,5"'])
def test_numbers_that_are_none_are_shown(tmp_path, number):
    path = written(tmp_path, f"op,acc,lat\n0,{number},1\n1,{number},2\n")
    with pytest.raises(DataError, match="first row has '94.*' in acc, '1' in lat. Numbers are w"):
        read_table(path, ["op"], **COLUMNS)


def test_more_categories_than_a_code_can_hold_are_refused(tmp_path):
    rows = "\n".join(f"{i},{i % 7},1" for i in range(70_000))
    path = written(tmp_path, f"op,acc,lat\n{rows}\n")
    with pytest.raises(DataError, match="Column 'op' has 70,000 different values, .* 32,767"):
        read_table(path, ["op"], **COLUMNS)


def test_repeats_with_other_values_hint_at_a_missing_gene(tmp_path):
    path = written(tmp_path, "a,b,acc,lat\n0,0,1,1\n0,1,2,2\n1,0,3,3\n")
    _, notes = read_table(path, ["a"], **COLUMNS)
    assert notes[-1] == "some of them have other values: a column of the code may be missing"


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="has 2 columns 'acc'"):
        read_table(written(tmp_path, "op,acc,acc,lat\n0,1,2,3\n"), ["op"], **COLUMNS)
