"""Likelihood against GC content."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prep.gc_tables import read_tsv, score_table
from xopen import xopen

from data_prep.gc_scores import (
    correlation,
    rank_correlation,
    read_score_tables,
    read_scored,
    write_scores_gc,
)
from genood.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]
SCORES_HEADER = [
    *["table", "statistic", "gc_from", "gc_to", "num"],
    *["log_likelihood_per_base", "llr_per_base"],
]


def test_likelihood_against_gc_by_hand(tmp_path: Path) -> None:
    # Per base -1, -2, -4 and 0.1, 0.3, 0.2 at 0.15, 0.2, 0.24; two reads without a likelihood.
    rows = [(0.15, 10, -10, 0.1), (0.2, 5, -10, 0.3), (0.24, 5, -20, 0.2), ("", 0, "", ""), (0.9, 8, "", "")]
    first = score_table(tmp_path / "in.tsv", rows)
    second = score_table(tmp_path / "ood.tsv", [(1.0, 2, -6, ""), (0.0, 2, -4, "")])
    output = tmp_path / "o.tsv"
    write_scores_gc(read_score_tables([str(first), str(second)]), str(output))
    header, *rows_out = read_tsv(output)
    assert header == SCORES_HEADER
    # Deviations from the means, in some units: of GC -14, 1, 13, of likelihood 4, 1, -5, of ratio -1, 1, 0.
    pearson = [f"{value:.6g}" for value in (-120 / np.sqrt(366 * 42), 15 / np.sqrt(366 * 2))]
    assert rows_out[:4] == [
        [str(first), "pearson", "", "", "3", *pearson],
        [str(first), "spearman", "", "", "3", "-1", "0.5"],
        [str(first), "mean", "0.15", "0.2", "1", "-1", "0.1"],
        [str(first), "mean", "0.2", "0.25", "2", "-3", "0.25"],
    ]
    assert rows_out[4:8] == [
        [str(second), "pearson", "", "", "2", "-1", ""],
        [str(second), "spearman", "", "", "2", "-1", ""],
        [str(second), "mean", "0", "0.05", "1", "-2", ""],
        [str(second), "mean", "0.95", "1", "1", "-3", ""],
    ]
    assert [row[:2] for row in rows_out[8:10]] == [["all", "pearson"], ["all", "spearman"]]
    # Ranks of GC 2 3 4 5 1, of likelihood 5 3.5 1 2 3.5.
    assert rows_out[9][4:] == ["5", f"{-7 / np.sqrt(10 * 9.5):.6g}", "0.5"]
    assert len(rows_out) == 14


@pytest.mark.parametrize("ending", ["gz", "zst", "xz", "bz2"])
def test_compressed_tables(tmp_path: Path, ending: str) -> None:
    """By content, as genood score writes them, whatever they are called."""
    text = score_table(tmp_path / "in.tsv", [(0.15, 10, -10, 0.1), (0.2, 5, -10, 0.3)])
    packed = tmp_path / f"in.tsv.{ending}"
    with xopen(packed, "wb", threads=0) as stream:
        stream.write(text.read_bytes())
    renamed = tmp_path / "renamed"
    renamed.write_bytes(packed.read_bytes())
    for path in (packed, renamed):
        for mine, theirs in zip(read_scored(str(path))[1:], read_scored(str(text))[1:], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    renamed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(InputError, match="renamed: cannot be read as a score table"):
        read_scored(str(renamed))


@pytest.mark.parametrize("num_rows", [3, 60_000], ids=["short", "several blocks"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_row_that_was_cut(tmp_path: Path, num_rows: int, end: str) -> None:
    """It may hold half a number."""
    table = score_table(tmp_path / "in.tsv", [(0.15, 10, -10.25, 0.1)] * num_rows)
    text = table.read_text()
    cut = text.removesuffix("25\t0\t0.1\t1\n")
    assert cut.endswith("\t-10.")
    table.write_text(cut + end)
    message = f"in.tsv, line {num_rows + 1}: has 5 of 8 cells; was the table cut short\\?"
    with pytest.raises(InputError, match=message):
        read_scored(str(table))
    # Empty lines, and a last cell that is empty, are none.
    table.write_text("\n" + text.replace("\t1\n", "\t\n", 1) + end)
    assert len(read_scored(str(table)).gc) == num_rows


def test_a_cut_table_from_a_pipe(tmp_path: Path) -> None:
    text = score_table(tmp_path / "in.tsv", [(0.15, 10, -10, 0.1)] * 3).read_text()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for whole in (True, False):
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(pipe.write_text, text if whole else text[:-12])
            with nullcontext() if whole else pytest.raises(InputError, match="line 4: has 5 of 8 cells"):
                assert len(read_scored(str(pipe)).gc) == 3
            writing.result()


def test_a_name_that_no_table_can_hold(tmp_path: Path) -> None:
    table = score_table(tmp_path / "a\tb.tsv", [(0.15, 10, -10, 0.1)])
    with pytest.raises(ConfigError, match=r"a\\tb\.tsv': its name holds what no table can; rename it"):
        read_scored(str(table))


def test_a_file_with_dollar_signs_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    table = score_table(tmp_path / r"a$\b$.tsv", [(0.5, 10, -10, 0.1)] * 3)
    figure = tmp_path / "o.svg"
    write_scores_gc(read_score_tables([str(table)]), str(tmp_path / "o.tsv"), figure=str(figure))
    assert r"a$\b$" in figure.read_text()


def with_repeated_names(table: pd.DataFrame, path: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    columns = [pyarrow.array(table.iloc[:, number]) for number in range(table.shape[1])]
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns, names=[*table.columns]), path)


def test_parquet_of_types_that_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a byte of the schema may turn into."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "in.parquet"
    pd.read_csv(score_table(tmp_path / "in.tsv", [(0.15, 10, -10, 0.1)]), sep="\t").to_parquet(path)

    def refuse(*_: object) -> None:
        raise NotImplementedError("Integers with more than 64 bits not implemented")

    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", refuse)
    with pytest.raises(InputError, match=r"cannot be read as a score table \(Integers with more"):
        read_scored(str(path))


def test_parquet_says_what_text_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    text = score_table(tmp_path / "in.tsv", [(0.15, 10, -10, 0.1), (0.2, 5, -10, ""), ("", 0, "", "")])
    table, other = pd.read_csv(text, sep="\t"), str(tmp_path / "IN.Parquet")
    table.to_parquet(other)
    for mine, theirs in zip(read_scored(other)[1:], read_scored(str(text))[1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    table.drop(columns=["gc"]).to_parquet(other)
    with pytest.raises(InputError, match="is no score table: it has no column gc"):
        read_scored(other)
    table.assign(gc="high").to_parquet(other)
    with pytest.raises(InputError, match="cannot be read as a score table"):
        read_scored(other)
    pd.concat([table, table["gc"]], axis=1).pipe(with_repeated_names, other)
    with pytest.raises(InputError, match="cannot be read as a score table \\(a column is there twice"):
        read_scored(other)
    table.assign(gc=[pd.Timestamp(0), None, None]).to_parquet(other)
    with pytest.raises(InputError, match="cannot be read as a score table"):
        read_scored(other)
    table.to_parquet(other)
    # Of the columns: pandas notes them in JSON, and names of types in it.
    damaged = (
        Path(other).read_bytes().replace(b'"numpy_type"', b'"numqy_type"').replace(b"float64", b"fOoat64")
    )
    Path(other).write_bytes(damaged)
    assert len(read_scored(other).gc) == 2
    Path(other).write_bytes(b"no Parquet at all, but long enough")
    with pytest.raises(InputError, match="cannot be read as a score table"):
        read_scored(other)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match="Parquet needs pyarrow: pip install pyarrow"):
        read_scored(other)


def test_correlations() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 20, size=300).astype(float)
    y = np.exp(x / 5) + generator.normal(size=300)
    assert correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    ranks = [(a[:, None] > a).sum(axis=1) + (a[:, None] == a).sum(axis=1) / 2 for a in (x, y)]
    assert rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert rank_correlation(x, -np.exp(x)) == pytest.approx(-1.0)
    y[::2] = np.nan
    assert correlation(x, y) == pytest.approx(np.corrcoef(x[1::2], y[1::2])[0, 1])
    for nothing in (np.full(300, 2.0), np.full(300, np.nan)):
        assert np.isnan(correlation(x, nothing))
        assert np.isnan(rank_correlation(x, nothing))


def test_score_tables_that_cannot_be_used(tmp_path: Path) -> None:
    good = str(score_table(tmp_path / "good.tsv", [(0.5, 10, -10, 0.1)]))
    for text, message in [
        ("gc\tnum_scored\n0.5\t1\n", "no column log_likelihood, llr_per_base"),
        ("", "cannot be read as a score table"),
        (Path(good).read_text().replace("-10", "ten"), "cannot be read as a score table"),
        (Path(good).read_text().replace("-10", "-inf"), "holds infinite values"),
        (Path(good).read_text().replace("-10", ""), "no read with both a log-likelihood and a GC content"),
    ]:
        path = tmp_path / "bad.tsv"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_score_tables([good, str(path)])
    with pytest.raises(InputError, match="no such file"):
        read_score_tables([str(tmp_path / "none")])
    with pytest.raises(InputError, match="is not taken as a score table"):
        read_score_tables(["-"])
    with pytest.raises(ConfigError, match="named twice"):
        read_score_tables([good, good])
    with pytest.raises(ConfigError, match="can show 7 score tables, not 8"):
        read_score_tables([good, *(str(tmp_path / f"{n}") for n in range(7))], figure=str(tmp_path / "f.svg"))
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_scores_gc(read_score_tables([good]), good)
    with pytest.raises(InputError, match=r"f\.svg: its directory '.*none' does not exist"):
        write_scores_gc(
            read_score_tables([good]), str(tmp_path / "o.tsv"), figure=str(tmp_path / "none" / "f.svg")
        )
    assert not (tmp_path / "o.tsv").exists()


def test_golden_score_table_is_read() -> None:
    scored = read_scored(str(ROOT / "tests" / "data" / "golden_scores.tsv"))
    assert len(scored.gc) == len(scored.log_likelihood) == len(scored.llr) > 0
    assert (scored.log_likelihood < 0).all()
