"""Valid windows of a genome, counted and read out, against plain Python and Biopython."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from data_prep.windows import WantedReads, count_windows, extract_reads
from genood.errors import InputError
from genood.reference.genomes import load_genomes
from genood.sequence import decode

Records = list[tuple[str, str]]

GENOME = [("one", "ACGTNACGTA"), ("two", "AC"), ("three", "acgu"), ("four", "NNNNN")]
"""With windows of 4: 1 + 2, none, 1, none."""


def write(path: Path, records: Records) -> str:
    path.write_text("".join(f">{name} toy\n{letters}\n" for name, letters in records))
    return str(path)


def valid_windows(records: Records, length: int) -> list[tuple[str, int, str]]:
    """Accession, start and letters of each valid window, one after the other."""
    windows = [
        (name, start, letters[start : start + length].upper().replace("U", "T"))
        for name, letters in records
        for start in range(len(letters) - length + 1)
    ]
    return [window for window in windows if set(window[2]) <= set("ACGT")]


def wanted(path: str, length: int, total: int, windows: list[int], reverse: list[bool]) -> WantedReads:
    return WantedReads(path, length, total, np.array(windows, dtype=np.int64), np.array(reverse, dtype=bool))


def test_counts_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fna", GENOME)
    counted = count_windows(path, 4)
    assert (counted.num_records, counted.num_bases, counted.num_windows) == (4, 21, 4)
    assert [count_windows(path, length).num_windows for length in (1, 2, 5, 6)] == [15, 11, 1, 0]


def test_reads_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fna", GENOME)
    reads = extract_reads(wanted(path, 4, 4, [0, 2, 3], [False, True, False]))
    assert [decode(codes) for codes in reads.codes] == ["ACGT", "TACG", "ACGT"]
    assert reads.starts.tolist() == [0, 6, 0]
    assert [reads.accessions[index] for index in reads.records] == ["one", "one", "three"]


def test_no_reads(tmp_path: Path) -> None:
    reads = extract_reads(wanted(write(tmp_path / "a.fna", GENOME), 4, 4, [], []))
    assert reads.codes.shape == (0, 4)
    assert reads.accessions == []


@given(
    letters=st.lists(st.text(st.sampled_from("ACGTNacgtr"), min_size=1, max_size=30), min_size=1, max_size=6),
    length=st.integers(1, 8),
    data=st.data(),
)
def test_as_in_plain_python(
    tmp_path_factory: pytest.TempPathFactory, letters: list[str], length: int, data: st.DataObject
) -> None:
    records = [(f"r{number}", text) for number, text in enumerate(letters)]
    path = write(tmp_path_factory.getbasetemp() / "property.fna", records)
    valid = valid_windows(records, length)
    counted = count_windows(path, length)
    assert counted.num_windows == len(valid)
    assert counted.num_bases == sum(map(len, letters))
    chosen = [index for index in range(len(valid)) if data.draw(st.booleans())]
    reverse = [data.draw(st.booleans()) for _ in chosen]
    reads = extract_reads(wanted(path, length, len(valid), chosen, reverse))
    assert [
        (reads.accessions[record], start, decode(codes))
        for record, start, codes in zip(reads.records, reads.starts.tolist(), reads.codes, strict=True)
    ] == [
        (name, start, str(Seq(text).reverse_complement()) if flipped else text)
        for (name, start, text), flipped in zip((valid[i] for i in chosen), reverse, strict=True)
    ]


def test_sha256_is_that_of_training(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.fna", GENOME)
    packed = tmp_path / "a.fna.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    (file,) = load_genomes([plain], min_length=4, classes={plain: "Alpha"}).files
    assert {count_windows(path, 4).sha256 for path in (plain, packed)} == {file.sha256}


def test_a_file_that_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fna", GENOME)
    with pytest.raises(InputError, match=r"a\.fna: changed while in use: it had 5 valid windows, now 4"):
        extract_reads(wanted(path, 4, 5, [0, 4], [False, False]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.fna: holds no sequences"),
        (b">protein\nMKLVE\n", "a.fna, record 1: 'protein' holds 'L', which is no nucleotide"),
        (b">r\nACGT\n>p\nMKTFF\n", "a.fna, record 2: 'p' holds 'F', which is no nucleotide"),
        (gzip.compress(b">r\nACGT\n" * 100, mtime=0)[:-10], "a.fna: the compressed file ends too early"),
        (b"not a genome", "a.fna: is neither FASTA nor FASTQ"),
    ],
)
def test_no_genome(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.fna"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        count_windows(path, 4)
