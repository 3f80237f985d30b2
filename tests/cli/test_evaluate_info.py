"""`genood evaluate` and `genood info`."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from conftest import Genood


def write_table(path: Path, *cells: str, column: str = "ood_score") -> Path:
    path.write_text(f"read_id\t{column}\n" + "".join(f"r{i}\t{cell}\n" for i, cell in enumerate(cells)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_table(tmp_path / "in.tsv", "0.1", "0.2", "0.5")
    write_table(tmp_path / "ood.tsv", "0.4", "0.6", "0.9")
    return tmp_path


def check_error(genood_here: Genood, *arguments: str | Path, says: str) -> None:
    result = genood_here(*arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("genood: error: ")
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr


def values_of(output: str) -> dict[str, str]:
    header, *rows = (line.split("\t") for line in output.splitlines())
    assert header == ["metric", "value", "low", "high"]
    return {name: value for name, value, _, _ in rows}


def test_metrics_by_hand(genood_here: Genood, folder: Path) -> None:
    """Of 9 pairs one, 0.5 against 0.4, is in the wrong order: AUROC 8/9.

    From the most in-distribution on: in, in, ood, in, ood, ood, so that the precisions at the three
    in-distribution reads are 1, 1 and 3/4: AUPRC 2.75/3. For 80 % of the three all are needed, which
    takes in the read of 0.4, one of three: FPR80 1/3.
    """
    result = genood_here("evaluate", folder / "in.tsv", folder / "ood.tsv")
    assert (result.returncode, result.stderr) == (0, "")
    assert values_of(result.stdout) == {"auroc": "0.8889", "auprc": "0.9167", "fpr80": "0.3333"}


def test_perfect_and_inverted(genood_here: Genood, tmp_path: Path) -> None:
    low = write_table(tmp_path / "low.tsv", *(f"{i / 10}" for i in range(10)))
    high = write_table(tmp_path / "high.tsv", *(f"{1 + i / 10}" for i in range(10)))
    right = genood_here("evaluate", low, high).stdout.splitlines()
    assert right[1] == "auroc\t1.0000\t1.0000\t1.0000"
    assert right[3] == "fpr80\t0.0000\t0.0000\t0.0000"
    wrong = genood_here("evaluate", high, low).stdout.splitlines()
    assert wrong[1] == "auroc\t0.0000\t0.0000\t0.0000"
    assert wrong[3] == "fpr80\t1.0000\t1.0000\t1.0000"


def test_ties_count_half(genood_here: Genood, tmp_path: Path) -> None:
    table = write_table(tmp_path / "same.tsv", "0.5", "0.5", "0.5")
    assert values_of(genood_here("evaluate", table, table).stdout)["auroc"] == "0.5000"


def test_json(genood_here: Genood, folder: Path) -> None:
    output = folder / "evaluation.json"
    result = genood_here("evaluate", folder / "in.tsv", folder / "ood.tsv", "-o", output)
    evaluation = json.loads(output.read_text())
    assert set(evaluation) == {"column", "tables", "reads", "without_score", "metrics"}
    assert evaluation["column"] == "ood_score"
    assert evaluation["tables"] == {"in": str(folder / "in.tsv"), "ood": str(folder / "ood.tsv")}
    assert evaluation["reads"] == {"in": 3, "ood": 3}
    assert evaluation["without_score"] == {"in": 0, "ood": 0}
    assert evaluation["metrics"]["auroc"]["value"] == pytest.approx(8 / 9)
    for name, metric in evaluation["metrics"].items():
        assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
        shown = "\t".join([name, *(f"{metric[key]:.4f}" for key in ("value", "low", "high"))])
        assert shown in result.stdout.splitlines()


def test_bootstrap_depends_on_the_seed(genood_here: Genood, tmp_path: Path) -> None:
    low = write_table(tmp_path / "low.tsv", *(f"{i * 7 % 31 / 31}" for i in range(31)))
    high = write_table(tmp_path / "high.tsv", *(f"{0.3 + i * 5 % 29 / 29}" for i in range(29)))
    first, again, other = (
        genood_here("evaluate", low, high, "--seed", seed, "--resamples", "20").stdout for seed in "112"
    )
    assert first == again
    assert first != other
    assert values_of(first) == values_of(other)


def test_reads_without_a_score(genood: Genood, folder: Path) -> None:
    """They are left out, and counted."""
    table = write_table(folder / "gaps.tsv", "0.1", "", "0.2", "", "0.5")
    result = genood("evaluate", table, folder / "ood.tsv", "-o", folder / "evaluation.json")
    assert result.stderr == "genood: warning: 2 in reads have no score and are left out\n"
    assert values_of(result.stdout)["auroc"] == "0.8889"
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert (evaluation["reads"]["in"], evaluation["without_score"]["in"]) == (3, 2)


def test_other_column(genood_here: Genood, folder: Path) -> None:
    table = write_table(folder / "other.tsv", "0.1", "0.2", "0.5", column="mine")
    write_table(folder / "other_ood.tsv", "0.4", "0.6", "0.9", column="mine")
    result = genood_here("evaluate", table, folder / "other_ood.tsv", "--column", "mine")
    assert values_of(result.stdout)["auroc"] == "0.8889"
    check_error(
        genood_here, "evaluate", table, folder / "ood.tsv",
        says=f"{table}: has no column 'ood_score'; its columns are read_id, mine",
    )  # fmt: skip


def test_compressed_table(genood_here: Genood, folder: Path) -> None:
    packed = folder / "in.tsv.gz"
    packed.write_bytes(gzip.compress((folder / "in.tsv").read_bytes()))
    assert values_of(genood_here("evaluate", packed, folder / "ood.tsv").stdout)["auroc"] == "0.8889"


def test_names_with_quotes(genood_here: Genood, folder: Path) -> None:
    """A quote is a letter like any other, also where it is never closed."""
    (folder / "in.tsv").write_text('read_id\tood_score\n"r1\t0.1\nr2\t0.2\nr3\t0.5\n')
    result = genood_here("evaluate", folder / "in.tsv", folder / "ood.tsv")
    assert values_of(result.stdout)["auroc"] == "0.8889"


def test_rows_longer_than_the_header(genood_here: Genood, folder: Path) -> None:
    """They do not shift the columns."""
    (folder / "in.tsv").write_text("read_id\tood_score\nr1\t0.1\t9\nr2\t0.2\t9\nr3\t0.5\t9\n")
    result = genood_here("evaluate", folder / "in.tsv", folder / "ood.tsv")
    assert values_of(result.stdout)["auroc"] == "0.8889"


def test_a_row_without_its_last_cells(genood_here: Genood, folder: Path) -> None:
    """A table cut short, which pandas would fill up; reads that are `na` have all cells."""
    table = folder / "in.tsv"
    whole = "read_id\tgc\tood_score\tcall\nr1\t\t0.1\tin\n\nr2\t\t\tna\nr3\t\t0.2\tin\n"
    for end in ("x", "x\t1", "x\t1\t0.5"):
        table.write_text(whole + end)
        cells = f"has {end.count(chr(9)) + 1} of 4 cells; was the table cut short?"
        says = f"{table}, line 6: {cells}"
        check_error(genood_here, "evaluate", table, folder / "ood.tsv", says=says)
        check_error(genood_here, "evaluate", folder / "ood.tsv", table, says=says)
    packed = folder / "packed.tsv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    check_error(genood_here, "evaluate", packed, table, says=f"{packed}, line 6: has 3 of 4 cells")
    for end in ("x\t1\t0.5\tin", "x\t1\t\tna\n", "x\t1\t0.5\tin\n\n", "x\t1\t0.5\t\n \n"):
        table.write_text(whole + end)
        assert genood_here("evaluate", table, folder / "ood.tsv").returncode == 0


def test_a_pipe(genood_here: Genood, folder: Path) -> None:
    """As of a shell's ``<(zcat in.tsv.gz)``: its header would be gone when its rows are read."""
    source, target = os.pipe()
    os.write(target, (folder / "in.tsv").read_bytes())
    os.close(target)
    pipe, table = f"/dev/fd/{source}", folder / "ood.tsv"
    says = f"{pipe}: is read twice, its header first; give a file"
    check_error(genood_here, "evaluate", pipe, table, says=says)
    check_error(genood_here, "evaluate", table, pipe, says=says)
    os.close(source)


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_json_on_standard_output(genood_here: Genood, folder: Path, name: str) -> None:
    """In place of the table, and no file of that name."""
    before = sorted(folder.iterdir())
    with chdir(folder):
        result = genood_here("evaluate", "in.tsv", "ood.tsv", "-o", name)
        genood_here("evaluate", "in.tsv", "ood.tsv", "-o", folder / "evaluation.json")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (folder / "evaluation.json").read_text()
    assert sorted(folder.iterdir()) == sorted([*before, folder / "evaluation.json"])


CUT_SHORT = gzip.compress(b"read_id\tood_score\n" + b"r\t0.5\n" * 99, mtime=0)[:40]
CORRUPT_GZIP = b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 60
BAD_TABLES = {
    "missing": ("x.tsv", None, "x.tsv: no such file"),
    "empty": ("x.tsv", b"", "x.tsv: cannot be read as a score table (No columns to parse from file)"),
    "header only": ("x.tsv", b"read_id\tood_score\n", "there is no in-distribution read with a score"),
    "only empty cells": (
        "x.tsv",
        b"read_id\tood_score\nr\t\n",
        "there is no in-distribution read with a score",
    ),
    "words": (
        "x.tsv",
        b"read_id\tood_score\nr\thigh\n",
        "x.tsv: column 'ood_score' holds what is no number (",
    ),
    "infinite": ("x.tsv", b"read_id\tood_score\nr\tinf\n", "x.tsv: column 'ood_score' holds infinite values"),
    "binary": ("x.tsv", b"\xff\xfe\x00", "x.tsv: cannot be read as a score table ("),
    "standard input": ("-", None, "standard input: is not taken here; name a file"),
    "half a gzip": ("x.tsv.gz", CUT_SHORT, "x.tsv.gz: cannot be read as a score table ("),
    "corrupt gzip": ("x.tsv.gz", CORRUPT_GZIP, "x.tsv.gz: cannot be read as a score table ("),
    "corrupt xz": ("x.tsv.xz", b"\xfd7zXZ\0" + b"\xff" * 60, "x.tsv.xz: cannot be read as a score table ("),
}


@pytest.mark.parametrize(("name", "content", "says"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_table(genood_here: Genood, folder: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    output = folder / "evaluation.json"
    output.write_text("old")
    check_error(
        genood_here,
        "evaluate",
        name if name == "-" else folder / name,
        folder / "ood.tsv",
        "-o",
        output,
        says=says,
    )
    assert output.read_text() == "old"


def test_empty_ood_table(genood_here: Genood, folder: Path) -> None:
    write_table(folder / "ood.tsv")
    check_error(
        genood_here, "evaluate", folder / "in.tsv", folder / "ood.tsv",
        says="there is no OOD read with a score; both sides are needed",
    )  # fmt: skip


def test_evaluation_into_a_missing_directory(genood_here: Genood, folder: Path) -> None:
    check_error(
        genood_here, "evaluate", folder / "in.tsv", folder / "ood.tsv", "-o", folder / "none" / "e.json",
        says="e.json: its directory ",
    )  # fmt: skip


def test_info(genood_here: Genood, bundle_dir: Path) -> None:
    result = genood_here("info", bundle_dir)
    assert (result.returncode, result.stderr) == (0, "")
    fingerprint = hashlib.sha256((bundle_dir / "genood.json").read_bytes()).hexdigest()
    card = (bundle_dir / "MODEL_CARD.md").read_text()
    assert result.stdout == f"{card}\nFingerprint: {fingerprint}\n"
    assert "| Alpha | 1 | 7,000 |\n| Beta | 1 | 6,000 |\n" in card


def test_info_as_json(genood_here: Genood, bundle_dir: Path) -> None:
    result = genood_here("info", bundle_dir, "--json")
    content = (bundle_dir / "genood.json").read_bytes()
    expected = {**json.loads(content), "fingerprint": hashlib.sha256(content).hexdigest()}
    assert json.loads(result.stdout) == expected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MODEL_CARD.md", "MODEL_CARD.md: differs from the sha256 in genood.json; copy the bundle again"),
        ("training.tsv", "training.tsv: differs from the sha256 in genood.json; copy the bundle again"),
        ("genood.json", "genood.json: cannot be read as JSON ("),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_info_of_a_changed_bundle(
    genood_here: Genood, bundle_dir: Path, tmp_path: Path, name: str, says: str, options: tuple[str, ...]
) -> None:
    bundle = shutil.copytree(bundle_dir, tmp_path / "bundle")
    (bundle / name).write_text("changed")
    check_error(genood_here, "info", bundle, *options, says=says)


def test_info_of_something_else(genood_here: Genood, tmp_path: Path) -> None:
    check_error(
        genood_here,
        "info",
        tmp_path,
        says=f"{tmp_path}: is not a bundle (no genood.json); genood train writes",
    )


def test_a_table_is_not_overwritten(genood_here: Genood, folder: Path) -> None:
    before = (folder / "in.tsv").read_text()
    check_error(
        genood_here, "evaluate", folder / "in.tsv", folder / "ood.tsv", "-o", folder / "in.tsv",
        says="is both an input and an output",
    )  # fmt: skip
    assert (folder / "in.tsv").read_text() == before
