"""Positions of chosen reads, from per-position tables and back, and which reads are chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored_reads import few_reads, some_positions

from genood.errors import ConfigError, InputError
from genood.evaluation.position_maps import PositionMap, spread_reads

HEADER = "read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr\n"


def test_of_tables(tmp_path: Path) -> None:
    of_a = "A__1\t1\tA\t-1\t-2\t1\nA__1\t2\tN\t\t\t\nA__1\t3\tT\t-0.5\t-0.25\t-0.25\n"
    (tmp_path / "in.tsv").write_text(HEADER + of_a + "B__1\t1\tC\t-1\t-1\t0\n")
    (tmp_path / "ood.tsv").write_text(HEADER + "X__1\t1\tG\t-3\t-1\t-2\n")
    found = PositionMap.of_tables(str(tmp_path / "in.tsv"), str(tmp_path / "ood.tsv"), ["X__1", "A__1"])
    assert list(found.classes) == ["X", "A"]
    assert found.is_ood.tolist() == [True, False]
    assert found.codes.tolist() == [[2, 4, 4], [0, 4, 3]]
    np.testing.assert_array_equal(found.log_p, [[-3, np.nan, np.nan], [-1, np.nan, -0.5]])
    np.testing.assert_array_equal(found.llr, [[-2, np.nan, np.nan], [1, np.nan, -0.25]])
    table = found.table()
    columns = ["side", "class", "read_id", "position", "base", "log_p", "background_log_p", "llr"]
    assert table.columns.tolist() == columns
    assert table.iloc[2].tolist() == ["in", "A", "A__1", 3, "T", -0.5, -0.25, -0.25]
    assert len(table) == 3


def test_reads_that_are_not_there(tmp_path: Path) -> None:
    for side in ("in", "ood"):
        (tmp_path / side).write_text(HEADER + f"{side}\t1\tA\t-1\t-2\t1\n")
    tables = [str(tmp_path / side) for side in ("in", "ood")]
    with pytest.raises(ConfigError, match=r"^'nope' is a read of neither .*in nor .*ood$"):
        PositionMap.of_tables(*tables, ["in", "nope"])


@pytest.mark.parametrize("again", ["in", "ood"])
def test_a_name_of_several_reads(tmp_path: Path, again: str) -> None:
    """Such as that of two mates, or of reads that a simulator counts anew for each side."""
    row = "r1\t1\tA\t-1\t-2\t1\n"
    for side in ("in", "ood"):
        (tmp_path / side).write_text(HEADER + f"{side}\t1\tA\t-1\t-2\t1\n")
    (tmp_path / "in").write_text(HEADER + row)
    with (tmp_path / again).open("a") as stream:
        stream.write(row)
    tables = [str(tmp_path / side) for side in ("in", "ood")]
    with pytest.raises(ConfigError, match=r"^'r1' names several reads of .*in and .*ood; choose others$"):
        PositionMap.of_tables(*tables, ["r1"])


def test_another_table(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("read_id\tllr\n")
    with pytest.raises(InputError, match=r"t\.tsv: cannot be read as a per-position table"):
        PositionMap.of_tables(str(tmp_path / "t.tsv"), str(tmp_path / "t.tsv"), ["r"])


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"must be of the same reads and positions$"):
        replace(some_positions(), names=["r1"])
    with pytest.raises(ConfigError, match=r"must be of the same reads and positions$"):
        replace(some_positions(), log_p=np.zeros((2, 3)))


def test_reads_are_spread_by_score() -> None:
    # In-distribution scores -1 to -5 from the first on, in two parts of 2.5; OOD ones -3, -6, -7 of 1.5.
    assert spread_reads(few_reads(), "likelihood", 2).tolist() == [1, 3, 5, 7]
    assert spread_reads(few_reads(), "likelihood", 9).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_no_read_with_a_score() -> None:
    reads = few_reads()
    blind = replace(reads, ood_scores={"llr": np.where(reads.is_ood, np.nan, 1.0)})
    with pytest.raises(ConfigError, match=r"^llr: no ood read has a score$"):
        spread_reads(blind, "llr")
