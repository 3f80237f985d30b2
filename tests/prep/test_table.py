"""Tables of genomes with their classes and splits."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from data_prep.table import listed, read_genome_table
from genood.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / f"{name}.fna").write_text(">r\nACGT\n")
    return tmp_path


def table(folder: Path, *rows: str, header: str = "file\tclass\tsplit") -> Path:
    path = folder / "t.tsv"
    path.write_text("".join(f"{line}\n" for line in (header, *rows)))
    return path


def test_rows(folder: Path) -> None:
    path = table(folder, "a.fna\tAlpha\ttrain_in", "b.fna\tBeta\tval_ood")
    first, second = read_genome_table(path)
    assert first == ("a.fna", folder / "a.fna", "Alpha", "train_in", 2, "", "", "")
    assert second == ("b.fna", folder / "b.fna", "Beta", "val_ood", 3, "", "", "")


def test_columns_in_any_order_beside_others(folder: Path) -> None:
    path = table(folder, 'val_in\t"x\ta.fna\tNA', header="split\torganism\tfile\tclass")
    (row,) = read_genome_table(path)
    assert (row.file, row.class_name, row.split) == ("a.fna", "NA", "val_in")


def test_columns_of_a_plan(folder: Path) -> None:
    header = "release_date\tsplit\tclass\taccession\torganism\tfile"
    row = "2010-05-01\ttrain_in\tAlpha\tGCF_1.1\tAlpha one\ta.fna"
    (found,) = read_genome_table(table(folder, row, header=header))
    assert (found.accession, found.organism, found.release_date) == ("GCF_1.1", "Alpha one", "2010-05-01")


@pytest.mark.parametrize(
    "content",
    [
        b"file\tclass\tsplit\r\na.fna\tAlpha\ttrain_in\r\n",
        b"\xef\xbb\xbffile\tclass\tsplit\na.fna\tAlpha\ttrain_in",
        b"file\tclass\tsplit\n\na.fna\t Alpha\ttrain_in \n\n",
        gzip.compress(b"file\tclass\tsplit\na.fna\tAlpha\ttrain_in\n", mtime=0),
    ],
    ids=["CRLF", "byte order mark, no final newline", "blank lines and spaces", "gzip"],
)
def test_forms(folder: Path, content: bytes) -> None:
    (folder / "t.tsv").write_bytes(content)
    (row,) = read_genome_table(folder / "t.tsv")
    assert (row.file, row.class_name, row.split) == ("a.fna", "Alpha", "train_in")


def test_genomes_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = table(elsewhere, "a.fna\tAlpha\ttrain_in", f"{folder / 'b.fna'}\tAlpha\ttrain_in")
    rows = read_genome_table(path, genomes=folder)
    assert [row.path for row in rows] == [folder / "a.fna", folder / "b.fna"]
    with pytest.raises(InputError, match="none: is no directory"):
        read_genome_table(path, genomes=folder / "none")


def test_missing_files_are_named_together(folder: Path) -> None:
    rows = [f"missing{number}.fna\tAlpha\ttrain_in" for number in range(5)]
    with pytest.raises(InputError) as caught:
        read_genome_table(table(folder, *rows, "a.fna\tAlpha\ttrain_in"))
    names = ", ".join(str(folder / f"missing{number}.fna") for number in range(3))
    assert f"5 of 6 files are missing: {names} and 2 more; " in str(caught.value)


def test_other_splits_are_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["gone.fna\tGamma\thost", "a.fna\tAlpha\ttrain_in", "c.fna\tGamma\treads", "d.fna\tGamma\thost"]
    with caplog.at_level(logging.WARNING):
        (row,) = read_genome_table(table(folder, *rows))
    assert row.class_name == "Alpha"
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / 't.tsv'}: rows of other splits are left out: 2 of 'host', 1 of 'reads'"
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.fna\tAlpha\ttrain"], "t.tsv: has no row whose split is one of train_in, val_in"),
        ([], "t.tsv: has no row whose split"),
        (["a.fna\t\ttrain_in"], "t.tsv, line 2: the row has no class"),
        (["a.fna\tAlpha\ttrain_in", "\tAlpha\ttrain_in"], "t.tsv, line 3: the row has no file"),
        (["a.fna\tAlpha\t "], "t.tsv, line 2: the row has no split"),
        (["a.fna\tAlpha"], "t.tsv, line 2: "),
        (
            ["a.fna\tAl\0pha\ttrain_in"],
            r"t.tsv, line 2: class is 'Al\\x00pha', which holds what is not printable",
        ),
        (["a\0.fna\tAlpha\ttrain_in"], r"t.tsv, line 2: file is 'a\\x00.fna', which holds what is not prin"),
        (["a.fna\tAl\ufffdpha\ttrain_in"], "t.tsv, line 2: class is 'Al\ufffdpha', which is not UTF-8; save"),
        (
            ["#.fna\tAlpha\ttrain_in"],
            "t.tsv, line 2: starts with #; take the line out, or put ./ before the # if",
        ),
        (
            ["a.fna\tAlpha\ttrain_in", "b.fna\tAlpha\ttrain_in", "./a.fna\tAlpha\tval_in"],
            "t.tsv, line 4: names './a.fna' again, after line 2",
        ),
        (
            ["a.fna\tAlpha\ttrain_in", "b.fna\tAlpha\ttest_ood"],
            "t.tsv, line 3: class 'Alpha' is in test_ood, but on line 2 in train_in",
        ),
    ],
)
def test_bad_rows(folder: Path, rows: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_genome_table(table(folder, *rows))


def test_bytes_that_are_not_utf8(folder: Path) -> None:
    """Two classes would be one; in a column that is not read they do no harm."""
    path = folder / "t.tsv"
    text = "file\tclass\tsplit\tnote\na.fna\tA\xe9\ttrain_in\tx\nb.fna\tA\xe8\ttrain_in\t\xe9\n"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="line 2: class is 'A\ufffd', which is not UTF-8; save the table as"):
        read_genome_table(path)
    path.write_bytes(text.replace("A\xe9", "A").replace("A\xe8", "B").encode("latin-1"))
    assert [row.class_name for row in read_genome_table(path)] == ["A", "B"]


def test_comments_come_before_the_header(folder: Path) -> None:
    (folder / "#.fna").write_text(">r\nACGT\n")
    path = table(folder, "./#.fna\tAlpha\ttrain_in", header="# of mine\n#\nfile\tclass\tsplit")
    (row,) = read_genome_table(path)
    assert (row.file, row.line) == ("./#.fna", 4)


def test_a_column_that_is_there_twice(folder: Path) -> None:
    path = table(folder, "a.fna\tAlpha\ttrain_in\tBeta", header="file\tclass\tsplit\tclass")
    with pytest.raises(InputError, match=r"t\.tsv, line 1: has the column class twice"):
        read_genome_table(path)
    path = table(folder, "a.fna\tAlpha\ttrain_in\tx\ty", header="file\tclass\tsplit\tnote\tnote")
    assert len(read_genome_table(path)) == 1


def test_a_file_of_a_dataset_is_no_genome(folder: Path) -> None:
    np.save(folder / "train_in.npy", np.zeros((2, 250), dtype=np.uint8))
    with pytest.raises(InputError, match=r"train_in\.npy: is part of a dataset, no genome"):
        read_genome_table(table(folder, "train_in.npy\tAlpha\ttrain_in"))


def test_a_class_in_several_splits_of_one_side(folder: Path) -> None:
    rows = ["a.fna\tAlpha\ttrain_in", "b.fna\tAlpha\tval_in", "c.fna\tBeta\tval_ood"]
    assert len(read_genome_table(table(folder, *rows))) == 3


def test_classes_that_no_model_learns(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["a.fna\tAlpha\ttrain_in", "b.fna\tBeta\tval_ood", "c.fna\tGamma\tval_in"]
    assert len(read_genome_table(table(folder, *rows))) == 3
    (warning,) = caplog.messages
    assert warning.endswith("without a genome in train_in, from which models learn: Gamma")
    caplog.clear()
    # Nothing to learn from at all: a table of what is tested alone.
    read_genome_table(table(folder, *rows[1:]))
    read_genome_table(table(folder, *rows[:2], "c.fna\tAlpha\tval_in"))
    assert caplog.messages == []


def test_no_table(folder: Path) -> None:
    with pytest.raises(InputError, match=r"t\.tsv.*class, split"):
        read_genome_table(table(folder, "a.fna", header="file"))
    with pytest.raises(InputError, match="standard input"):
        read_genome_table("-")
    with pytest.raises(InputError, match="no such file"):
        read_genome_table(folder / "none.tsv")


def test_listed() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
