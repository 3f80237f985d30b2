"""`genood score -o scores.parquet`: the same tables with types; and `genood evaluate` of them."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.engine import EngineConfig
from genood.sequence import Codes
from genood.writers import parquet as writers

CPU = ("--device", "cpu", "--threads", "1")
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
COLUMN_TYPES = {
    "read_id": "string",
    "mate": "int8",
    "length": "int64",
    "num_scored": "int64",
    "call": "dictionary<values=string, indices=int8, ordered=0>",
    "pair_call": "dictionary<values=string, indices=int8, ordered=0>",
}
POSITION_TYPES = {
    "read_id": "dictionary<values=string, indices=int32, ordered=0>",
    "position": "int64",
    "base": "dictionary<values=string, indices=int8, ordered=0>",
}


def some_reads(suffix: str = "") -> dict[str, Codes]:
    reads = {f"r{i}{suffix}": STRAIN[200 * i : 200 * i + 60 + i] for i in range(30)}
    reads |= {f"odd{i}{suffix}": uniform_codes(100, 100 + i) for i in range(10)}
    reads[f"gapped{suffix}"] = STRAIN[:100].copy()
    reads[f"gapped{suffix}"][::3] = 4
    reads[f"blank{suffix}"] = np.full(30, 4, dtype=np.uint8)
    return reads


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_fasta(Path("R1.fa"), some_reads("/1"))
    write_fasta(Path("R2.fa"), some_reads("/2"))
    return tmp_path


def run(genood_here: Genood, bundle: Path, *arguments: str) -> None:
    result = genood_here("score", "-m", bundle, *arguments, *CPU)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def assert_same(name: str, types: dict[str, str], group_rows: int | None = None) -> Any:
    """The Parquet file holds what the text does, in columns of these types; others are double."""
    text = pd.read_csv(f"{name}.tsv", sep="\t", quoting=csv.QUOTE_NONE)
    with pyarrow.parquet.ParquetFile(f"{name}.parquet") as file:
        schema = file.schema_arrow
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    table = pd.read_parquet(f"{name}.parquet")
    assert {field.name: str(field.type) for field in schema} == {
        column: types.get(column, "double") for column in text.columns
    }
    assert len(table) == len(text)
    for column in text.columns:
        values = table[column]
        if types.get(column, "double") == "double":
            assert values.isna().tolist() == text[column].isna().tolist()
            np.testing.assert_array_equal(values.to_numpy(), text[column].to_numpy())
        else:
            assert values.tolist() == text[column].tolist()
    assert sum(groups) == len(text)
    return schema.metadata, groups


@pytest.mark.parametrize("options", [(), ("--fdr", "0.1")])
def test_tables_hold_what_text_does(
    genood_here: Genood,
    context_dir: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setattr(writers, "_GROUP_POSITIONS", 100)
    arguments = ("--paired", "R1.fa", "R2.fa", "--detector", "llr", "--detector", "likelihood", *options)
    for kind in ("tsv", "parquet"):
        outputs = ("-o", f"scores.{kind}", "--per-position", f"positions.{kind}")
        run(genood_here, context_dir, *arguments, *outputs)
    metadata, groups = assert_same("scores", COLUMN_TYPES)
    assert groups == [84]
    assert metadata[b"genood.bundle"].decode() == Bundle.load(context_dir).fingerprint
    metadata, groups = assert_same("positions", POSITION_TYPES)
    assert metadata[b"genood.bundle"].decode() == Bundle.load(context_dir).fingerprint
    assert len(groups) > 42
    assert max(groups) == 100


def test_row_groups(
    genood_here: Genood, context_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some windows make a row group; windows are of one read here."""
    monkeypatch.setattr(writers, "_GROUP_ROWS", 10)
    write_fasta(Path("long.fa"), {f"r{i}": STRAIN[:20_000] for i in range(25)})
    suiting = EngineConfig.suiting
    monkeypatch.setattr(
        EngineConfig, "suiting", lambda *args, **config: replace(suiting(*args, **config), window_reads=1)
    )
    for kind in ("tsv", "parquet"):
        run(genood_here, context_dir, "long.fa", "-o", f"scores.{kind}")
    _, groups = assert_same("scores", COLUMN_TYPES)
    assert groups == [10, 10, 5]


def test_no_reads(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    Path("none.fa").touch()
    run(genood_here, context_dir, "none.fa", "-o", "scores.parquet", "--per-position", "positions.parquet")
    assert pd.read_parquet("scores.parquet").columns.tolist()[-1] == "call"
    assert len(pd.read_parquet("positions.parquet")) == 0


def test_evaluate(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    kinds = ("tsv", "parquet", "tsv.zst")
    for kind in kinds:
        run(genood_here, context_dir, "R1.fa", "-o", f"in.{kind}")
        run(genood_here, context_dir, "R2.fa", "--min-length", "95", "-o", f"ood.{kind}")
    results = [genood_here("evaluate", f"in.{kind}", f"ood.{kind}") for kind in kinds]
    assert [result.returncode for result in results] == [0, 0, 0]
    assert len({result.stdout for result in results}) == 1
    for arguments, says in [
        (
            ("in.parquet", "ood.parquet", "--column", "score"),
            "in.parquet: has no column 'score'; its columns are",
        ),
        (
            ("in.parquet", "ood.parquet", "--column", "read_id"),
            "in.parquet: column 'read_id' holds what is no number (",
        ),
        (("bad.parquet", "ood.parquet"), "bad.parquet: cannot be read as a score table (Parquet magic bytes"),
    ]:
        Path("bad.parquet").write_bytes(b"no Parquet at all, but long enough")
        result = genood_here("evaluate", *arguments)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith(f"genood: error: {says}")


def test_without_pyarrow(
    genood_here: Genood, context_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(genood_here, context_dir, "R1.fa", "-o", "in.parquet")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    says = "Parquet needs pyarrow: pip install pyarrow, or genood with its extra parquet\n"
    for arguments in (
        ("score", "-m", context_dir, "R1.fa", "-o", "new.parquet", *CPU),
        ("score", "-m", context_dir, "R1.fa", "-o", "new.tsv", "--per-position", "new.parquet", *CPU),
    ):
        result = genood_here(*arguments)
        assert (result.returncode, result.stderr) == (1, f"genood: error: new.parquet: {says}")
        assert not list(Path().glob("*new*"))
    result = genood_here("evaluate", "in.parquet", "in.parquet")
    assert (result.returncode, result.stderr) == (1, f"genood: error: in.parquet: {says}")


def test_full_disk(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    Path("full.parquet").symlink_to("/dev/full")
    result = genood_here("score", "-m", context_dir, "R1.fa", "-o", "full.parquet", *CPU)
    assert result.returncode == 1
    assert result.stderr.startswith("genood: error: full.parquet: cannot be written (")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "scores", [[{"llr": 1.0}], [[1.0, 2.0]], ["high"]], ids=["structures", "lists", "words"]
)
def test_a_column_that_is_no_number(genood_here: Genood, tmp_path: Path, scores: list[object]) -> None:
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"read_id": ["r1"], "ood_score": scores}).to_parquet(path)
    result = genood_here("evaluate", path, path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"genood: error: {path}: ")
    assert len(result.stderr.splitlines()) == 1
