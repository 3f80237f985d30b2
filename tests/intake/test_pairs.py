"""Mates brought together, and their joint p-value."""

from __future__ import annotations

import logging
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from dnaio import SequenceRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from genood.errors import InputError
from genood.intake.pairs import (
    cuts_pair,
    fragment_of,
    interleaved_blocks,
    pair_p_values,
    paired_blocks,
    starts_of_pairs,
)
from genood.intake.windowing import windows_of
from genood.readers import ReadBlock, ReaderConfig, read_blocks
from genood.sequence import decode

Rows = list[tuple[str, int, str]]


def read(path: str) -> Generator[ReadBlock, None, None]:
    return read_blocks([path], config=ReaderConfig(keep_records="reads"))


def rows_of(blocks: list[ReadBlock]) -> Rows:
    return [(read.name, read.mate, decode(read.codes)) for block in blocks for read in block.reads()]


def fastq(path: Path, reads: dict[str, str]) -> str:
    path.write_text("".join(f"@{name}\n{bases}\n+\n{'I' * len(bases)}\n" for name, bases in reads.items()))
    return str(path)


def sam(path: Path, reads: list[tuple[str, int]]) -> str:
    lines = [f"{name}\t{flag}\t*\t0\t0\t*\t*\t0\t0\tAC\tII\n" for name, flag in reads]
    path.write_text("@HD\tVN:1.6\n" + "".join(lines))
    return str(path)


def test_names_of_fragments() -> None:
    names = ["a", "a/1", "a/2", "a/3", "1", "/1"]
    assert [fragment_of(name) for name in names] == ["a", "a", "a", "a/3", "1", ""]


def test_where_pairs_start() -> None:
    names = ["a", "a", "b/1", "b/2", "c", "d", "e", "e", "f"]
    mates = [1, 2, 1, 2, 1, 2, 2, 1, 1]
    assert starts_of_pairs(names, mates).tolist() == [0, 2, 6]
    assert starts_of_pairs([], []).tolist() == []
    assert starts_of_pairs(["a"], [1]).tolist() == []


@pytest.mark.parametrize("limit", [1, 2, 3, 1_024])
def test_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    first = fastq(tmp_path / "1.fq", {"a/1 x": "A", "b": "CCC", "c y": "GG", "d": "TTTT"})
    second = fastq(tmp_path / "2.fq", {"a/2 x": "AA", "b": "C", "c z": "GGG", "d": "T"})
    blocks = list(paired_blocks(first, second, read))
    assert rows_of(blocks) == [
        ("a/1", 1, "A"), ("a/2", 2, "AA"), ("b", 1, "CCC"), ("b", 2, "C"),
        ("c", 1, "GG"), ("c", 2, "GGG"), ("d", 1, "TTTT"), ("d", 2, "T"),
    ]  # fmt: skip
    for block in blocks:
        assert block.mates == [1, 2] * (len(block.names) // 2)
        assert block.records is not None
        assert [(r.id, r.sequence) for r in block.records.reads()] == [
            (read.name, decode(read.codes)) for read in block.reads()
        ]


def test_two_files_out_of_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks end at so many bases, which is not at the same read in both."""
    monkeypatch.setattr("genood.readers.blocks.BLOCK_BASES", 50)
    first = fastq(tmp_path / "1.fq", {f"r{i}": "A" * (1 + i % 7) for i in range(100)})
    second = fastq(tmp_path / "2.fq", {f"r{i}": "C" * (1 + i % 13) for i in range(100)})
    rows = rows_of(list(paired_blocks(first, second, read)))
    assert [name for name, _, _ in rows] == [f"r{i // 2}" for i in range(200)]
    assert [bases for _, _, bases in rows[::2]] == ["A" * (1 + i % 7) for i in range(100)]
    assert [bases for _, _, bases in rows[1::2]] == ["C" * (1 + i % 13) for i in range(100)]


def test_records_of_mates(tmp_path: Path) -> None:
    first = fastq(tmp_path / "1.fq", {"a 1:N": "AC"})
    second = tmp_path / "2.fa"
    second.write_text(">a 2:N\ng\n")
    [block] = paired_blocks(first, str(second), read)
    assert block.records is not None
    assert block.records.reads() == [SequenceRecord("a 1:N", "AC", "II"), SequenceRecord("a 2:N", "g", None)]


@pytest.mark.parametrize("swapped", [False, True])
def test_unequal_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: bool) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", 2)
    longer = fastq(tmp_path / "long.fq", {"a": "A", "b": "C", "c": "G", "d": "T", "e": "A"})
    shorter = fastq(tmp_path / "short.fq", {"a": "A", "b": "C", "c": "G"})
    paths = (shorter, longer) if swapped else (longer, shorter)
    with pytest.raises(InputError) as caught:
        list(paired_blocks(*paths, read))
    assert str(caught.value) == (
        f"{shorter}: ends after 3 reads, while {longer} goes on; mates must be in the same order"
    )


def test_names_that_disagree(tmp_path: Path) -> None:
    first = fastq(tmp_path / "1.fq", {"a/1": "A", "b/1": "C", "c/1": "G"})
    second = fastq(tmp_path / "2.fq", {"a/2": "A", "x/2": "C", "c/2": "G"})
    with pytest.raises(InputError) as caught:
        list(paired_blocks(first, second, read))
    assert str(caught.value) == f"{second}, record 2: 'x/2' is not the mate of 'b/1' in {first}"
    other = fastq(tmp_path / "other.fq", {"a/1": "A"})
    with pytest.raises(
        InputError, match=r"'a/1' is a mate 1, and 'a/2' in .*2\.fq a mate 2; mates 1 come first"
    ):
        list(paired_blocks(second, other, read))


@pytest.mark.parametrize("number", [1, 2])
def test_two_files_of_one_side(tmp_path: Path, number: int) -> None:
    paths = [fastq(tmp_path / f"{i}.fq", {f"a/{number}": "A", f"b/{number}": "C"}) for i in range(2)]
    with pytest.raises(
        InputError, match=rf"1\.fq: holds mates {number} by their names, which end in /{number}"
    ):
        list(paired_blocks(*paths, read))


def test_names_that_end_in_numbers_of_their_own(tmp_path: Path) -> None:
    paths = [fastq(tmp_path / f"{i}.fq", {"run/1": "A", "run/2": "C", "run/3": "G"}) for i in range(2)]
    assert [name for block in paired_blocks(*paths, read) for name in block.names][:2] == ["run/1", "run/1"]


def test_two_files_that_hold_pairs(tmp_path: Path) -> None:
    paths = [sam(tmp_path / f"{i}.sam", [("a", 77), ("a", 141)]) for i in range(2)]
    with pytest.raises(InputError, match="holds both mates by its flags; collate it by name and use"):
        list(paired_blocks(*paths, read))


@pytest.mark.parametrize("limit", [1, 2, 3, 1_024])
def test_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    path = fastq(
        tmp_path / "reads.fq", {"a/1": "A", "a/2": "AA", "b x": "C", "b y": "CC", "c": "G", "c ": "GG"}
    )
    blocks = list(interleaved_blocks(path, read))
    assert rows_of(blocks) == [
        ("a/1", 1, "A"), ("a/2", 2, "AA"), ("b", 1, "C"), ("b", 2, "CC"), ("c", 1, "G"), ("c", 2, "GG")
    ]  # fmt: skip
    assert all(len(block.names) % 2 == 0 for block in blocks)


@pytest.mark.parametrize("limit", [1, 2, 3, 1_024])
def test_not_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    path = fastq(tmp_path / "odd.fq", {"a/1": "A", "a/2": "A", "b": "C"})
    with pytest.raises(InputError, match=r"odd\.fq, record 3: 'b', the last read, has no mate"):
        list(interleaved_blocks(path, read))
    path = fastq(tmp_path / "other.fq", {"a/1": "A", "a/2": "A", "b": "C", "c": "C"})
    with pytest.raises(InputError, match=r"other\.fq, record 4: 'c' is not the mate of 'b' before it"):
        list(interleaved_blocks(path, read))
    path = fastq(tmp_path / "turned.fq", {"a/2": "A", "a/1": "A"})
    with pytest.raises(
        InputError, match=r"record 2: 'a/1' is a mate 1, and 'a/2' before it a mate 2; mates 1"
    ):
        list(interleaved_blocks(path, read))


@pytest.mark.parametrize("limit", [1, 2, 3, 1_024])
def test_interleaved_alignments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: int
) -> None:
    """Mates 1 are flagged 77, mates 2 141; b has lost its mate 2, c its mate 1, e is unpaired, f fails."""
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    records = [("a", 77), ("a", 141), ("b", 77), ("c", 141), ("d", 77), ("d", 333), ("d", 141), ("e", 4)]
    path = sam(tmp_path / "reads.sam", [*records, ("f", 77 + 512), ("f", 141), ("g", 77)])
    blocks = list(interleaved_blocks(path, read))
    assert [row[:2] for row in rows_of(blocks)] == [
        ("a", 1), ("a", 2), ("b", 1), ("c", 2), ("d", 1), ("d", 2), ("e", 0), ("f", 2), ("g", 1)
    ]  # fmt: skip
    assert sum(len(starts_of_pairs(block.names, block.mates)) for block in blocks) == 2
    assert caplog.record_tuples == [
        (
            "genood.intake.pairs",
            logging.WARNING,
            f"{path}: 5 reads have no mate beside them and are judged alone; samtools collate joins mates",
        )
    ]


def test_mates_2_may_come_first() -> None:
    names = ["a", "a", "b/2", "b/1", "c", "c", "c", "d", "e", "e", "f", "f"]
    mates = [2, 1, 2, 1, 2, 1, 2, 1, 2, 2, 1, 1]
    starts = [0, 2, 5]
    assert starts_of_pairs(names, mates).tolist() == starts
    assert [place - 1 for place in range(13) if cuts_pair(names, mates, place)] == starts
    assert starts_of_pairs(["b/1", "b/2"], [2, 1]).tolist() == []


FLAGS = {0: 4, 1: 77, 2: 141}


@given(
    reads=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=24),
    limit=st.integers(1, 5),
    most=st.integers(1, 6),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_do_not_depend_on_blocks(
    tmp_path: Path, reads: list[tuple[str, int]], limit: int, most: int
) -> None:
    """Nor on windows, whatever mates alignments come with."""
    names, mates = [name for name, _ in reads], [mate for _, mate in reads]
    path = sam(tmp_path / "reads.sam", [(name, FLAGS[mate]) for name, mate in reads])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genood.readers.blocks.BLOCK_READS", limit)
        windows = list(windows_of(interleaved_blocks(path, read), 1_000, most))
    assert [name for window in windows for name in window.names] == names
    found, number = [], 0
    for window in windows:
        found += [number + start for start in starts_of_pairs(window.names, window.mates).tolist()]
        number += len(window.names)
    assert found == starts_of_pairs(names, mates).tolist()


@pytest.mark.parametrize("limit", [1, 2, 1_024])
def test_reads_without_mates_before_the_first_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: int
) -> None:
    """More of them than a block holds: it is the flags that say which mate a read is."""
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limit)
    path = sam(tmp_path / "reads.sam", [("a", 4), ("b", 0), ("c", 4), ("d", 77), ("d", 141)])
    blocks = list(interleaved_blocks(path, read))
    assert [row[:2] for row in rows_of(blocks)] == [("a", 0), ("b", 0), ("c", 0), ("d", 1), ("d", 2)]
    assert caplog.messages[0].startswith(f"{path}: 3 reads have no mate beside them")


def test_joint_p_values_by_hand() -> None:
    nan = float("nan")
    names = ["a", "a", "b/1", "b/2", "c", "d", "e", "e", "f", "f", "g", "g"]
    mates = [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 0, 0]
    p_values = np.array([0.03, 0.04, 0.9, 0.001, 0.2, 0.3, nan, 0.7, nan, nan, 0.1, 0.2])
    joint = pair_p_values(names, mates, p_values)
    expected = [0.04, 0.04, 0.002, 0.002, 0.2, 0.3, 0.7, 0.7, nan, nan, 0.1, 0.2]
    np.testing.assert_allclose(joint, expected)
    assert pair_p_values(["a", "a"], [1, 2], np.array([1.0, 1.0])).tolist() == [1.0, 1.0]
    assert p_values[0] == 0.03


@pytest.mark.parametrize("correlation", [-0.99, -0.5, 0.0, 0.3, 0.7, 0.95, 1.0])
def test_level_whatever_the_dependence(correlation: float) -> None:
    """Exact without dependence, below the level with positive, never above 1.5 times it."""
    number = 400_000
    generator = np.random.default_rng(1)
    one, noise = generator.standard_normal((2, number))
    other = correlation * one + np.sqrt(1 - correlation**2) * noise
    p_values = norm.sf(np.stack([one, other], axis=1)).reshape(-1)
    joint = pair_p_values([f"r{i // 2}" for i in range(2 * number)], [1, 2] * number, p_values)[::2]
    for alpha in (0.01, 0.05, 0.1):
        share = (joint <= alpha).mean()
        deviation = 4 * np.sqrt(alpha / number)
        assert share <= (alpha if correlation >= 0 else 1.5 * alpha) + deviation
        if correlation in (0.0, 1.0):
            assert share >= alpha - deviation
