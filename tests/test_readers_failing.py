"""Files that vanish, shrink or cannot be read on; and what other programs and editors leave in them."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pysam
import pytest
from backports import zstd
from toys import uniform_codes

from genood.errors import InputError
from genood.readers import ReaderConfig, read_blocks, read_file, read_files
from genood.readers.streams import WithoutBlankEnd
from genood.sequence import decode

FASTQ = b"@a first\nACGTN\n+\n>@+!I\n@b\nTT\n+\n@I\n@c\tx\nA\n+\n+\n"
CONTENT = [("a", "ACGTN"), ("b", "TT"), ("c", "A")]
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
"""A frame of zstd that holds data for programs."""
NUM_READS = 5_000


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def listed(path: Path) -> list[tuple[str, str]]:
    return [(read.name, decode(read.codes)) for read in read_file(path)]


def failure(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        list(read_file(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fastq(num_reads: int = NUM_READS) -> bytes:
    letters = decode(uniform_codes(100 * num_reads, 1))
    return b"".join(
        f"@r{i}\n{letters[100 * i : 100 * i + 100]}\n+\n{'I' * 100}\n".encode() for i in range(num_reads)
    )


def alignments(path: Path, mode: str) -> bytes:
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}})
    with pysam.AlignmentFile(str(path), mode, header=header) as writer:
        for i in range(NUM_READS):
            record = pysam.AlignedSegment(header)
            record.query_name, record.flag = f"r{i}", 4
            record.query_sequence = decode(uniform_codes(100, i))
            writer.write(record)
    return path.read_bytes()


def split(path: Path, num_reads: int = NUM_READS) -> bytes:
    np.save(path, uniform_codes(100 * num_reads, 1).reshape(num_reads, 100))
    return path.read_bytes()


CONTENTS: dict[str, Callable[[Path], bytes]] = {
    "FASTA": lambda path: b"".join(b">r%d\n%s\n" % (i, b"ACGTA" * 20) for i in range(NUM_READS)),
    "FASTQ": lambda path: fastq(),
    "gzip": lambda path: gzip.compress(fastq(), 1),
    "zstd": lambda path: zstd.compress(fastq(), 1),
    "BAM": lambda path: alignments(path, "wb"),
    "CRAM": lambda path: alignments(path, "wc"),
    "dataset": split,
}


@pytest.fixture(params=CONTENTS)
def reads(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file of 5,000 reads, of several blocks."""
    path = tmp_path / "reads.npy"
    return written(path, CONTENTS[request.param](path))


def test_removed_while_it_is_read(reads: Path) -> None:
    blocks = read_blocks([reads])
    number = len(next(blocks).names)
    reads.unlink()
    assert number + sum(len(block.names) for block in blocks) == NUM_READS


def test_removed_before_its_turn(reads: Path, tmp_path: Path) -> None:
    first = written(tmp_path / "first.fq", fastq(1))
    both = read_files([first, reads])
    next(both)
    reads.unlink()
    with pytest.raises(InputError, match=r"reads\.npy: no such file$"):
        next(both)


def test_removed_as_it_is_opened(reads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks well, and then it is gone."""
    monkeypatch.setattr("genood.readers.files.check_readable", lambda paths: None)
    monkeypatch.setattr("genood.readers.files.is_codes_file", lambda path: False)
    reads.unlink()
    assert failure(reads) == f"{reads}: No such file or directory"


def test_shrunk_while_it_is_read(reads: Path) -> None:
    """Where a memory map would end the process, by SIGBUS; compressed, all is in a buffer."""
    is_split = reads.read_bytes().startswith(b"\x93NUMPY")
    blocks = read_blocks([reads])
    number = len(next(blocks).names)
    assert number < NUM_READS
    os.truncate(reads, reads.stat().st_size * 8 // 10 + 7)
    problem = None
    try:
        for block in blocks:
            number += len(block.names)
    except InputError as error:
        problem = str(error)
    if is_split:
        assert problem == f"{reads}, record 4000: has become shorter while it was read"
    assert number > 3_000
    assert problem is None or problem.startswith(f"{reads}")


class _Failing(io.RawIOBase):
    """A disk that gives so many bytes and then an error."""

    def __init__(self, content: bytes, number: int) -> None:
        self._content = io.BytesIO(content[:number])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        number = self._content.readinto(buffer)
        if not number:
            raise OSError(errno.EIO, "Input/output error")
        return number


@pytest.mark.parametrize("number", [0, 100, 150_000])
def test_disk_error(reads: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    content = reads.read_bytes()
    if content.startswith(b"\x93NUMPY"):
        pytest.skip("np.load opens these")

    @contextmanager
    def opened(path: str) -> Iterator[io.BufferedReader]:
        yield io.BufferedReader(cast(io.RawIOBase, _Failing(content, number)))

    monkeypatch.setattr("genood.readers.files.opened", opened)
    assert failure(reads) == f"{reads}: Input/output error"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_real_disk_error() -> None:
    assert failure("/proc/self/mem") == "/proc/self/mem: Input/output error"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_writer_of_a_pipe_dies(reads: Path, tmp_path: Path) -> None:
    content = reads.read_bytes()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = "import os, sys, signal; out = open(sys.argv[1], 'wb', 0)\n"
    script += "out.write(open(sys.argv[2], 'rb').read()[:-2_000]); os.kill(os.getpid(), signal.SIGKILL)"
    with subprocess.Popen([sys.executable, "-c", script, fifo, reads]) as process:
        try:
            if content.startswith(b">"):  # which says nowhere where it ends
                assert 4_900 < len(list(read_file(fifo))) < NUM_READS
            elif content.startswith(b"\x93NUMPY"):
                assert "is neither FASTA nor FASTQ" in failure(fifo)
                return
            else:
                assert failure(fifo).startswith(f"{fifo}")
        finally:
            assert process.wait(timeout=60) in (-signal.SIGKILL, 1)  # 1: nobody reads


def test_pipe_that_gives_byte_by_byte(reads: Path, tmp_path: Path) -> None:
    """At first: what a file is has to be told from more than that."""
    content = reads.read_bytes()
    if content.startswith(b"\x93NUMPY"):
        pytest.skip("is no stream")
    script = (
        "import os, sys, time\n"
        "content = open(sys.argv[1], 'rb').read()\n"
        "for i in range(10):\n"
        "    os.write(1, content[i:i + 1])\n"
        "    time.sleep(0.01)\n"
        "sys.stdout.buffer.write(content[10:])\n"
    )
    count = "import sys; from genood.readers import read_file; print(sum(1 for _ in read_file('-')))"
    with subprocess.Popen([sys.executable, "-c", script, reads], stdout=subprocess.PIPE) as source:
        counted = subprocess.run([sys.executable, "-c", count], stdin=source.stdout, capture_output=True)
    assert (counted.stdout, counted.stderr) == (b"5000\n", b"")


@pytest.mark.parametrize("end", [b"\n", b"\n\n\n", b"\r\n", b"\r\n\r\n\n", b"\n" * 60_000])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_blank_lines_at_the_end_of_fastq(
    tmp_path: Path, end: bytes, compress: Callable[[bytes], bytes]
) -> None:
    assert listed(written(tmp_path / "reads", compress(FASTQ + end))) == CONTENT
    windows = FASTQ.replace(b"\n", b"\r\n")
    assert listed(written(tmp_path / "reads", compress(windows + end))) == CONTENT


def test_blank_lines_elsewhere_in_fastq(tmp_path: Path) -> None:
    path = tmp_path / "reads"
    for content, where in [
        (FASTQ + b"\n\n" + FASTQ, "record 4, line 13: Line expected to start with '@'"),
        (FASTQ + b"\n" * 70_000, "record 4, line 13: Line expected to start with '@'"),
        (FASTQ + b" \n", "record 4, line 14: Premature end"),
        (b"\n" + FASTQ, "starts with white space"),
        (FASTQ + b"@d\n\n+\n\n", "record 4: 'd' has no sequence"),
        (FASTQ + b"@d\r\n\r\n+d\r\n\r\n", "record 4: 'd' has no sequence"),
        (FASTQ + b"@d\n\n", "record 4, line 14: Premature end"),
    ]:
        assert where in failure(written(path, content))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\n\n\n", b"a", b"a\n", b"a\n\n\n", b"\n\nab\r\n\r\ncd\n\n", FASTQ + b"\r\n\n"]
)
def test_without_blank_end(content: bytes, size: int) -> None:
    source = io.BytesIO(content)
    stream = WithoutBlankEnd(cast(io.BufferedReader, source))
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
    given = b"".join(parts)
    assert content.startswith(given)
    assert given.removesuffix(b"\n").removesuffix(b"\r") == content.rstrip(b"\r\n")


def test_zstd_that_begins_with_other_data(tmp_path: Path) -> None:
    """As pzstd writes it."""
    path = tmp_path / "reads"
    assert listed(written(path, SKIPPABLE + zstd.compress(FASTQ))) == CONTENT
    twice = (SKIPPABLE + zstd.compress(FASTQ)) * 2
    assert listed(written(path, twice)) == CONTENT * 2
    assert "the compressed file ends too early" in failure(written(path, SKIPPABLE[:-1]))
    assert "the compressed file is corrupt" in failure(written(path, SKIPPABLE + b"no zstd at all"))
    assert listed(written(path, SKIPPABLE)) == []


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    path = written(tmp_path / "reads", mark + b">a\nAC\n")
    assert failure(path).startswith(f"{path}: starts with a byte-order mark, ")


@pytest.mark.parametrize("letter", ["\0", "\x01", "\x08", "\x0e", "\x1b", "\x7f"])
def test_control_characters_in_names(tmp_path: Path, letter: str) -> None:
    """They would be in the table, and what reads it, or shows it, might do what they say."""
    for content, number in [(f"@a\nA\n+\nI\n@b{letter}c\nA\n+\nI\n", 2), (f">{letter}\nAC\n", 1)]:
        path = written(tmp_path / "reads", content.encode())
        assert f"record {number}: the name {letter!r}"[:-1] in failure(path).replace("'b", "'")
        assert failure(path).endswith(" holds a control character; the file may be damaged")


@pytest.mark.parametrize("qualities", ["\x01I", "I ", " I", "I\x7f"])
@pytest.mark.parametrize("config", [ReaderConfig(min_quality=1), ReaderConfig(keep_records="reads")])
def test_qualities_that_are_none(tmp_path: Path, qualities: str, config: ReaderConfig) -> None:
    """Where they are of use: BAM has no place for them, and nobody can say what they mean."""
    path = written(tmp_path / "reads", f"@a\nA\n+\n~\n@b\nAC\n+\n{qualities}\n".encode())
    assert [name for name, _ in listed(path)] == ["a", "b"]
    blocks = read_blocks([path], config=config)
    assert next(blocks).names == ["a"]
    with pytest.raises(InputError, match="record 2: 'b' has base qualities beyond those of FASTQ"):
        next(blocks)


def test_white_space_of_every_kind_ends_a_name(tmp_path: Path) -> None:
    for letter in " \t\x0b\x0c\x1c\x1d\x1e\x1f":
        for content in (f"@a{letter}b\nAC\n+\nII\n", f">a{letter}b\nAC\n"):
            assert listed(written(tmp_path / "reads", content.encode())) == [("a", "AC")]


def test_long_names_are_shortened_in_errors(tmp_path: Path) -> None:
    name = b"n" * 100_000
    for content in (
        b">" + name + b"\nA:\n",
        b"@" + name + b"\nA:\n+\nII\n",
        b"@" + name + b"\nAC\n+\nI\n",
        b"@" + name + b"\nAC\n+x" + name + b"\nII\n",
        b"@" + name + b"\nAC\n",
        b"@a\nA\n+\nI\nx" + name + b"\n",
    ):
        assert len(failure(written(tmp_path / "reads", content))) < 700
    assert listed(written(tmp_path / "reads", b">" + name + b"\nAC\n")) == [(name.decode(), "AC")]


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("my reads.npy", "my_reads:0"), ("a\tb\n.npy", "a_b:0"), ("ä.npy", "ä:0"), ('"#.npy', '"#:0')],
)
def test_names_from_the_name_of_a_split(tmp_path: Path, file_name: str, name: str) -> None:
    split(tmp_path / file_name, 1)
    assert [read.name for read in read_file(tmp_path / file_name)] == [name]


@pytest.mark.parametrize("file_name", [b"\x1b[31m.npy", b"\xff.npy"])
def test_split_whose_name_is_no_text(tmp_path: Path, file_name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), file_name)
    with open(path, "wb") as stream:
        stream.write(split(tmp_path / "x.npy", 1))
    assert "its reads would be named by it, which is no text; rename the file" in failure(os.fsdecode(path))


@pytest.mark.parametrize(
    "header", [b"(" * 2000, b"\0'descr': 1}", b"{'descr': '|u1', 'shape': ({}, 5)}", b"{", b"'"]
)
def test_split_with_a_damaged_header(tmp_path: Path, header: bytes) -> None:
    """NumPy parses it as Python, whose errors are many."""
    content = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + b"\0" * 10
    path = written(tmp_path / "reads.npy", content)
    assert failure(path).startswith(f"{path}: is damaged, or no array of reads (")
