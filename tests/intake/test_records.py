"""Records that travel with the reads: as they were in the input, through blocks, pairs and selection."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest
from dnaio import SequenceRecord

from genood.intake.selection import SelectionConfig
from genood.intake.stream import IntakeConfig, intake
from genood.readers import ReadBlock, ReaderConfig, Records, read_blocks

READS = ReaderConfig(keep_records="reads")
ALL = ReaderConfig(keep_records="all")
SAM = """\
@HD\tVN:1.6
@SQ\tSN:c\tLN:5000
@CO\tas it was
failed\t516\t*\t0\t0\t*\t*\t0\t0\tAC\tII
forward\t0\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE\tXA:f:0.5
secondary\t256\tc\t1\t60\t5M\t*\t0\t0\t*\t*
reverse\t83\tc\t1\t60\t1S4M\t=\t9\t0\tAACGR\tABCDE
last\t141\t*\t0\t0\t*\t*\t0\t0\tTT\t*
nothing\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*
"""
LINES = SAM.splitlines()[3:]


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    path = tmp_path / "reads.sam"
    path.write_text(SAM)
    return path


def kept(blocks: list[ReadBlock]) -> list[Records]:
    """The records of blocks; each has one for every read."""
    found = [block.records for block in blocks if block.records is not None]
    assert len(found) == len(blocks)
    for block in blocks:
        assert block.records is not None
        assert len(block.records.reads()) == len(block.names)
    return found


def lines_of(blocks: list[ReadBlock]) -> list[str]:
    return [item.to_string() for records in kept(blocks) for item in records.items]


def names_of_reads(blocks: list[ReadBlock]) -> list[str]:
    return [item.query_name for records in kept(blocks) for item in records.reads()]


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    """Comment, case, IUPAC letters and bases that are masked as weak."""
    path = tmp_path / "reads.fq"
    path.write_text("@a 1:N:0  x\nAcgRYnU\n+\nII!IIII\n@b\nT\n+\n~\n")
    [block] = read_blocks([path], config=ReaderConfig(keep_records="reads", min_quality=20))
    assert block.codes.tolist() == [0, 1, 4, 4, 4, 4, 3, 3]
    assert kept([block])[0].items == [
        SequenceRecord("a 1:N:0  x", "AcgRYnU", "II!IIII"),
        SequenceRecord("b", "T", "~"),
    ]


def test_without_being_asked_none_is_kept(sam: Path) -> None:
    assert [block.records for block in read_blocks([sam])] == [None]


def test_alignments_as_sequenced(sam: Path) -> None:
    [records] = kept(list(read_blocks([sam], config=READS)))
    assert records.items == [
        SequenceRecord("forward", "ACGTN", "ABCDE"),
        SequenceRecord("reverse/1", "YCGTT", "EDCBA"),
        SequenceRecord("last/2", "TT", None),
    ]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_alignments_as_they_are(sam: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Records that are no reads stay in their place, however blocks are cut."""
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    blocks = list(read_blocks([sam], config=ALL))
    assert lines_of(blocks) == LINES
    assert names_of_reads(blocks) == ["forward", "reverse", "last"]
    whole = ReadBlock.joined(blocks)
    assert lines_of([whole]) == LINES
    assert str(kept([whole])[0].header).endswith("@CO\tas it was\n")
    for cut in range(4):
        parts = [whole.part(0, cut), whole.part(cut, 3)] if 0 < cut < 3 else [whole.part(0, 3)]
        assert lines_of(parts) == LINES
        assert names_of_reads(parts) == ["forward", "reverse", "last"]
    some = whole.where(np.array([False, True, False]))
    assert lines_of([some]) == LINES
    assert names_of_reads([some]) == ["reverse"]
    assert names_of_reads([whole.where(np.zeros(3, dtype=bool))]) == []


def test_header_of_a_file_without_records(tmp_path: Path) -> None:
    path = tmp_path / "empty.bam"
    header = pysam.AlignmentHeader.from_text("@HD\tVN:1.6\n@CO\talone\n")
    pysam.AlignmentFile(str(path), "wb", header=header).close()
    [block] = read_blocks([path], config=ALL)
    assert (block.names, kept([block])[0].items) == ([], [])
    assert str(kept([block])[0].header) == str(header)
    assert list(read_blocks([path], config=READS)) == []


def test_those_before_a_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "reads.fa"
    path.write_text(">a\nAC\n>b\nA!\n")
    blocks = read_blocks([path], config=READS)
    assert kept([next(blocks)])[0].items == [SequenceRecord("a", "AC", None)]


def test_of_a_dataset(tmp_path: Path) -> None:
    np.save(tmp_path / "test_in.npy", np.array([[0, 1, 4], [3, 2, 1]], dtype=np.uint8))
    (tmp_path / "dataset.json").write_text("{}")
    [block] = read_blocks([tmp_path / "test_in.npy"], config=READS)
    assert kept([block])[0].items == [
        SequenceRecord("test_in:0", "ACN", None),
        SequenceRecord("test_in:1", "TGC", None),
    ]


SELECTION = SelectionConfig(min_length=3, max_reads=2)


@pytest.mark.parametrize("reader", [READS, ALL])
def test_selection(tmp_path: Path, reader: ReaderConfig) -> None:
    path = tmp_path / "reads.fa"
    path.write_text(">a\nAC\n>b\nACGT\n>c\nA\n>d\nACGTA\n>e\nACGT\n")
    blocks = list(intake([str(path)], IntakeConfig(reader=reader, selection=SELECTION), Counter()))
    assert [item.name for records in kept(blocks) for item in records.items] == ["b", "d"]


def test_selection_of_alignments(tmp_path: Path) -> None:
    """Those that are not taken stay among the rest, up to the last that is."""
    path = tmp_path / "reads.sam"
    bases = ["AC", "ACGT", "A", "ACGTA", "ACGT"]
    lines = [f"r{i}\t4\t*\t0\t0\t*\t*\t0\t0\t{text}\t*" for i, text in enumerate(bases)]
    path.write_text("@HD\tVN:1.6\n" + "\n".join(lines) + "\n")
    blocks = list(intake([str(path)], IntakeConfig(reader=ALL, selection=SELECTION), Counter()))
    assert lines_of(blocks) == lines[:4]
    assert names_of_reads(blocks) == ["r1", "r3"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_interleaved_alignments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    rows = [("x", 516), ("a", 77), ("y", 260), ("a", 141), ("z", 260), ("b", 77), ("b", 141), ("w", 2052)]
    lines = [f"{name}\t{flag}\t*\t0\t0\t*\t*\t0\t0\tAC\tII" for name, flag in rows]
    path = tmp_path / "reads.sam"
    path.write_text("@HD\tVN:1.6\n" + "\n".join(lines) + "\n")
    blocks = list(intake([str(path)], IntakeConfig(reader=ALL, pairs="interleaved"), Counter()))
    assert lines_of(blocks) == lines
    assert [mate for block in blocks for mate in block.mates] == [1, 2, 1, 2]
