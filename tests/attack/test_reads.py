"""Which reads are attacked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from toys import uniform_codes, write_fasta

from genood.attack.reads import random_reads, sampled_reads
from genood.errors import InputError
from genood.sequence import encode


def fastq(path: Path, *records: tuple[str, str, str]) -> str:
    path.write_text("".join(f"@{name}\n{letters}\n+\n{quality}\n" for name, letters, quality in records))
    return str(path)


def test_letters_and_qualities_stay(tmp_path: Path) -> None:
    path = fastq(tmp_path / "reads.fq", ("a some comment", "acgRT", "ABCDE"))
    (read,) = sampled_reads([path], length=250, max_reads=5, seed=(0, 1))
    assert (read.name, read.letters, read.qualities) == ("a", "acgRT", "ABCDE")
    assert read.codes.tolist() == [0, 1, 2, 4, 3]


def test_long_sequences_are_cut(tmp_path: Path) -> None:
    path = fastq(tmp_path / "reads.fq", ("long", "ACGTACGTAC", "ABCDEFGHIJ"), ("short", "AC", "!!"))
    reads = sampled_reads([path], length=4, max_reads=5, seed=(0, 1))
    assert [(read.name, read.letters, read.qualities) for read in reads] == [
        ("long:1-4", "ACGT", "ABCD"),
        ("long:5-8", "ACGT", "EFGH"),
        ("short", "AC", "!!"),
    ]


def test_sequences_of_just_that_length_are_whole(tmp_path: Path) -> None:
    path = fastq(tmp_path / "reads.fq", ("a", "ACGT", "ABCD"))
    assert [read.name for read in sampled_reads([path], length=4, max_reads=5, seed=(0, 1))] == ["a"]


def test_reads_without_a_known_base_are_left(tmp_path: Path) -> None:
    path = tmp_path / "reads.fa"
    path.write_text(">a\nNNNN\n>b\nNNNA\n>c\nNNNNACGT\n")
    reads = sampled_reads([str(path)], length=4, max_reads=5, seed=(0, 1))
    assert [read.name for read in reads] == ["b", "c:5-8"]
    assert reads[0].qualities is None


def test_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "reads.fa"
    path.write_text(">a\nNNNN\n")
    with pytest.raises(InputError, match=r"reads\.fa: there is no read with a known base"):
        sampled_reads([str(path)], length=4, max_reads=5, seed=(0, 1))


def test_sample_is_uniform_in_order_and_repeats(tmp_path: Path) -> None:
    path = str(write_fasta(tmp_path / "genome.fa", {"genome": uniform_codes(1000, 1)}))
    counts: Counter[str] = Counter()
    for seed in range(300):
        reads = sampled_reads([path], length=100, max_reads=3, seed=(seed, 1))
        starts = [int(read.name.split(":")[1].split("-")[0]) for read in reads]
        assert starts == sorted(set(starts))
        assert len(starts) == 3
        counts.update(read.name for read in reads)
    # Each of ten is expected 90 times, with a standard deviation of 8.
    assert len(counts) == 10
    assert all(55 < number < 125 for number in counts.values())
    first, second = (sampled_reads([path], length=100, max_reads=3, seed=(1, 1)) for _ in range(2))
    assert [read.name for read in first] == [read.name for read in second]


def test_random_reads() -> None:
    reads = random_reads(3, 50, (1, 2))
    assert [read.name for read in reads] == ["random-1", "random-2", "random-3"]
    for read in reads:
        assert (encode(read.letters) == read.codes).all()
    assert reads[0].letters != reads[1].letters
    assert reads[0].letters == random_reads(1, 50, (1, 2))[0].letters
