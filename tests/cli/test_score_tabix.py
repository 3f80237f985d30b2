"""`genood score --per-position positions.tsv.gz`: its index for tabix."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.errors import GenoodError
from genood.sequence import decode
from genood.writers import index as tabix

CPU = ("--device", "cpu", "--threads", "1")
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
TABLE, TBI, CSI = Path("positions.tsv.gz"), Path("positions.tsv.gz.tbi"), Path("positions.tsv.gz.csi")
NAMES = ["b", "a:7", "#1", "read_id", "c"]
Run = Callable[..., None]


@pytest.fixture
def run(genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def score(*reads: str) -> None:
        result = genood_here(
            "score", "-m", context_dir, *reads, "-o", "scores.tsv", "--per-position", TABLE, *CPU
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

    return score


def only_table(folder: Path, *others: Path) -> bool:
    return sorted(folder.glob("[.p]*")) == sorted(folder / path for path in (TABLE, *others))


def test_rows_of_a_read(run: Run, tmp_path: Path) -> None:
    """Whatever its name; of two runs the later one's."""
    for start in (0, 1_000):
        reads = {name: STRAIN[start + 300 * i : start + 300 * i + 90 + i] for i, name in enumerate(NAMES)}
        write_fasta(tmp_path / "reads.fa", reads)
        run("reads.fa")
        assert only_table(tmp_path, TBI)
        with pysam.TabixFile(str(TABLE)) as table:
            assert sorted(table.contigs) == sorted(NAMES)
            for name, codes in reads.items():
                if name.startswith("#"):  # which pysam leaves out of what it finds
                    continue
                rows = [row.split("\t") for row in table.fetch(reference=name)]
                assert [row[0] for row in rows] == [name] * len(codes)
                assert [row[1] for row in rows] == [str(i + 1) for i in range(len(codes))]
                assert "".join(row[2] for row in rows) == decode(codes)
            [row] = table.fetch("b", 41, 42)
            assert row.split("\t")[:3] == ["b", "42", decode(reads["b"][41:42])]


def test_positions_beyond_tbi(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered for it; and a table made by hand goes beyond the real one."""
    write_fasta(tmp_path / "reads.fa", {"r": STRAIN[:100]})
    run("reads.fa")
    monkeypatch.setattr(tabix, "_TBI_POSITIONS", 99)
    run("reads.fa")
    assert only_table(tmp_path, CSI)
    with pysam.TabixFile(str(TABLE), index=str(CSI)) as table:
        assert len(list(table.fetch("r", 10, 20))) == 10
    monkeypatch.undo()
    with tabix.indexed_position_table(str(tmp_path / "far.gz")) as writer:
        writer._stream.write(b"chr\t1\tA\nchr\t700000000\tC\n")
        writer.longest = 700_000_000
    with pysam.TabixFile(str(tmp_path / "far.gz"), index=str(tmp_path / "far.gz.csi")) as table:
        assert list(table.fetch("chr", 600_000_000, 800_000_000)) == ["chr\t700000000\tC"]


@pytest.mark.parametrize("names", [["a", "a"], ["a", "b", "a"]])
def test_names_that_come_again(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    """There is the table, without an index, even an older one; and a message."""
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    run("reads.fa")
    CSI.touch()
    (tmp_path / "reads.fa").write_text("".join(f">{name}\n{decode(STRAIN[:80])}\n" for name in names))
    with caplog.at_level(logging.WARNING, logger="genood"):
        run("reads.fa")
    assert only_table(tmp_path)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "positions.tsv.gz has no index for tabix: "
        "names that come more than once, as those of mates, leave it unsorted"
    ]


def test_too_many_reads(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tabix, "_MOST_READS", 2)
    for number in (2, 3):
        write_fasta(tmp_path / "reads.fa", {f"r{i}": STRAIN[:60] for i in range(number)})
        with caplog.at_level(logging.WARNING, logger="genood"):
            run("reads.fa")
        assert only_table(tmp_path, *([TBI] if number == 2 else []))
        assert ("for more than 2 reads it would take much memory" in caplog.text) == (number == 3)


def test_no_reads(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reads.fa").touch()
    run("reads.fa")
    assert only_table(tmp_path, TBI)


def test_index_that_cannot_be_put_in_place(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    TBI.mkdir()
    with caplog.at_level(logging.WARNING, logger="genood"):
        run("reads.fa")
    assert only_table(tmp_path, TBI)
    assert "has no index for tabix: positions.tsv.gz.tbi: is a directory" in caplog.text


def test_index_that_cannot_be_written(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Names are not to blame where the device is full."""
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    TBI.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING, logger="genood"):
        run("reads.fa")
    assert only_table(tmp_path)
    problem = "positions.tsv.gz.tbi: cannot be written (is the disk full?)"
    assert f"positions.tsv.gz has no index for tabix: {problem}" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
from genood.writers.index import indexed_position_table
rename, left = os.replace, int(sys.argv[1])
def replace(*names):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    rename(*names)
os.replace = replace
with indexed_position_table("positions.tsv.gz") as writer:
    writer._stream.write(b"new\\t1\\tA\\n")
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_killed_between_table_and_index(run: Run, tmp_path: Path, renames: int) -> None:
    """The new table is never beside the index of the older one."""
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    run("reads.fa")
    older = TABLE.read_bytes()
    process = subprocess.run([sys.executable, "-c", KILLED, str(renames)], timeout=120)
    assert process.returncode == -9
    assert (TABLE.read_bytes() == older) == (renames == 0)
    assert not TBI.exists()


def test_index_that_is_a_link_stays_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    TBI.symlink_to("elsewhere/index")
    for codes in (STRAIN[:100], STRAIN[:90]):
        write_fasta(tmp_path / "reads.fa", {"x": codes})
        run("reads.fa")
        assert TBI.is_symlink()
        assert only_table(tmp_path, TBI)
        with pysam.TabixFile(str(TABLE)) as table:
            assert len(list(table.fetch("x"))) == len(codes)


def test_a_failed_run_leaves_table_and_index(run: Run, tmp_path: Path) -> None:
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    run("reads.fa")
    before = {path: path.read_bytes() for path in (TABLE, TBI)}
    with pytest.raises(GenoodError), tabix.indexed_position_table(str(TABLE)):
        raise GenoodError("in the middle")
    assert {path: path.read_bytes() for path in (TABLE, TBI)} == before
    assert only_table(tmp_path, TBI)


def test_an_index_is_an_output(
    genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_fasta(tmp_path / "reads.fa", {"x": STRAIN[:100]})
    result = genood_here("score", "-m", context_dir, "reads.fa", "-o", TBI, "--per-position", TABLE, *CPU)
    assert result.returncode == 1
    assert "positions.tsv.gz.tbi: two outputs have the same name" in result.stderr
