"""Every form a sequence file comes in, and every way it can be broken."""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import lzma
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest
from backports import zstd
from Bio import SeqIO
from toys import uniform_codes

from genood.errors import InputError
from genood.readers import Read, ReadBlock, blocks_of, check_readable, read_blocks, read_file, read_files
from genood.readers.blocks import grouped
from genood.sequence import decode

DATA = Path(__file__).parent / "data"

FASTA_FORMS = {
    "one line": b">a first\nACGTNACGT\n>b\nTTTTG\n>c\tx\nA\n",
    "wrapped": b">a first\nACG\nTNA\nCGT\n>b\nTTT\nTG\n>c\tx\nA\n",
    "lower case": b">a first\nacgtnAcgt\n>b\nttttg\n>c\tx\na\n",
    "CRLF": b">a first\r\nACGTN\r\nACGT\r\n>b\r\nTTTTG\r\n>c\tx\r\nA\r\n",
    "CR": b">a first\rACGTN\rACGT\r>b\rTTTTG\r>c\tx\rA\r",
    "blank lines": b"\n\n>a first\n\nACGTN\n\nACGT\n\n\n>b\nTTTTG\n>c\tx\nA\n\n\n",
    "no final newline": b">a first\nACGTNACGT\n>b\nTTTTG\n>c\tx\nA",
    "comments": b"# made by hand\n>a first\nACGTN\n# half\nACGT\n>b\nTTTTG\n>c\tx\nA\n",
    "IUPAC": b">a first\nACGTRACGT\n>b\nTTTTG\n>c\tx\nA\n",
    "gaps": b">a first\nACGT-ACGT\n>b\nTTTTG\n>c\tx\nA\n",
    "U": b">a first\nACGUNACGU\n>b\nuuuug\n>c\tx\nA\n",
}
FASTQ = b"@a first\nACGTNACGT\n+\n>@+!IIIII\n@b\nTTTTG\n+\n@IIII\n@c\tx\nA\n+\n+\n"
FASTQ_FORMS = {
    "four lines": FASTQ,
    "repeated names": b"@a first\nACGTNACGT\n+a first\nIIIIIIIII\n@b\nTTTTG\n+b\nIIIII\n@c\tx\nA\n+c\tx\nI\n",
    "lower case": b"@a first\nacgtnACGT\n+\nIIIIIIIII\n@b\nttttg\n+\nIIIII\n@c\tx\na\n+\nI\n",
    "IUPAC and U": b"@a first\nACGURACGU\n+\nIIIIIIIII\n@b\nuuuug\n+\nIIIII\n@c\tx\nA\n+\nI\n",
    "CRLF": FASTQ.replace(b"\n", b"\r\n"),
    "no final newline": FASTQ.rstrip(),
    "CRLF, no final newline": FASTQ.replace(b"\n", b"\r\n").rstrip(),
}
FORMS = {
    **{f"FASTA, {name}": content for name, content in FASTA_FORMS.items()},
    **{f"FASTQ, {name}": content for name, content in FASTQ_FORMS.items()},
}
CONTENT = [("a", [0, 1, 2, 3, 4, 0, 1, 2, 3]), ("b", [3, 3, 3, 3, 2]), ("c", [0])]


def bgzf(content: bytes) -> bytes:
    """BGZF by its specification: blocks, here of 4000 bytes, then the block that ends the file."""
    target = io.BytesIO()
    for start in range(0, len(content), 4000):
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
        block = content[start : start + 4000]
        packed = compressor.compress(block) + compressor.flush()
        target.write(bytes.fromhex("1f8b08040000000000ff060042430200"))
        target.write((len(packed) + 25).to_bytes(2, "little") + packed)
        target.write(zlib.crc32(block).to_bytes(4, "little") + len(block).to_bytes(4, "little"))
    target.write(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    return target.getvalue()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip members": lambda content: gzip.compress(content[:15]) + gzip.compress(content[15:]),
    "gzip, first member empty": lambda content: gzip.compress(b"") + gzip.compress(content),
    "BGZF": bgzf,
    "zstd": zstd.compress,
    "zstd frames": lambda content: zstd.compress(content[:15]) + zstd.compress(content[15:]),
    "xz": lzma.compress,
    "xz streams": lambda content: lzma.compress(content[:15]) + lzma.compress(content[15:]),
    "bz2": bz2.compress,
    "bz2 streams": lambda content: bz2.compress(content[:15]) + bz2.compress(content[15:]),
}
"""Forms of compression, by name."""


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def listed(reads: list[Read]) -> list[tuple[str, list[int]]]:
    return [(read.name, read.codes.tolist()) for read in reads]


def failure(path: Path | str) -> str:
    """The error message for a file that cannot be read; it names the file and is one line."""
    with pytest.raises(InputError) as caught:
        list(read_file(path))
    message = str(caught.value)
    assert message.startswith("standard input" if path == "-" else str(path))
    assert "\n" not in message
    return message


def many_reads(num_reads: int = 1000) -> bytes:
    letters = decode(uniform_codes(150 * num_reads, 1))
    return b"".join(
        f"@read{i} x\n{letters[150 * i : 150 * (i + 1)]}\n+\n{'I' * 150}\n".encode() for i in range(num_reads)
    )


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form(tmp_path: Path, stdin: Callable[[bytes], None], form: str, compression: str) -> None:
    content = COMPRESSORS[compression](FORMS[form])
    reads = list(read_file(written(tmp_path / "reads", content)))
    assert listed(reads) == CONTENT
    assert {read.mate for read in reads} == {0}
    stdin(content)
    assert listed(list(read_file("-"))) == CONTENT


@pytest.mark.parametrize(
    ("name", "compression"),
    [("reads.txt", "gzip"), ("reads.fq.gz", "plain"), ("reads.fa", "zstd"), ("reads.gz", "bz2"),
     ("reads.zst", "xz"), ("reads.bz2", "gzip"), ("reads.xz", "plain"), ("reads.bam", "BGZF")],
)  # fmt: skip
def test_misleading_names(tmp_path: Path, name: str, compression: str) -> None:
    path = written(tmp_path / name, COMPRESSORS[compression](FASTQ))
    assert listed(list(read_file(path))) == CONTENT


def test_bgzf_from_htslib(tmp_path: Path) -> None:
    with pysam.BGZFile(str(tmp_path / "reads.gz"), "wb") as target:
        target.write(many_reads())
    assert [read.name for read in read_file(tmp_path / "reads.gz")] == [f"read{i}" for i in range(1000)]


@pytest.mark.parametrize("compression", ["plain", "BGZF", "zstd", "xz", "bz2"])
def test_pipe(compression: str) -> None:
    script = "from genood.readers import read_file\nfor read in read_file('-'): print(read.name)"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        input=COMPRESSORS[compression](many_reads()),
        capture_output=True,
        check=True,
    )
    assert result.stdout.decode().split() == [f"read{i}" for i in range(1000)]
    assert result.stderr == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_named_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(bgzf(FASTQ),))
    writer.start()
    assert listed(list(read_file(fifo))) == CONTENT
    writer.join()


def test_closed_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert failure("-") == "standard input: is closed"


def test_several_files_in_order(tmp_path: Path, stdin: Callable[[bytes], None]) -> None:
    first = written(tmp_path / "1.fa", b">z\nA\n>y\nC\n")
    second = written(tmp_path / "2.fq", b"@a\nG\n+\nI\n")
    stdin(b">a\nT\n")
    assert listed(list(read_files([second, "-", first]))) == [
        ("a", [2]), ("a", [3]), ("z", [0]), ("y", [1]),
    ]  # fmt: skip


def test_real_genomes_agree_with_biopython() -> None:
    with (DATA / "genomes.fasta").open() as stream:
        expected = [(record.id, str(record.seq)) for record in SeqIO.parse(stream, "fasta")]
    reads = list(read_file(DATA / "genomes.fasta"))
    assert [read.name for read in reads] == ["NC_018507.1", "NC_017717.1", "AYMB01000001.1"]
    assert [len(read.codes) for read in reads] == [4000, 2000, 2500]
    known_only = str.maketrans("RM", "NN")
    assert [(read.name, decode(read.codes)) for read in reads] == [
        (name, letters.translate(known_only)) for name, letters in expected
    ]
    assert [(read.codes == 4).sum() for read in reads] == [0, 2, 20]


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_real_reads_agree_with_htslib(tmp_path: Path, compression: str) -> None:
    with pysam.FastxFile(str(DATA / "reads.fastq")) as records:
        expected = [(record.name, record.sequence) for record in records]
    path = written(tmp_path / "reads", COMPRESSORS[compression]((DATA / "reads.fastq").read_bytes()))
    reads = [(read.name, decode(read.codes)) for read in read_file(path)]
    assert len(reads) == 50
    assert reads == expected


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name != "plain"])
@pytest.mark.parametrize("cut", [6, 18, 0.1, 0.5, 0.9, -9, -4, -1])
def test_truncated_compression(tmp_path: Path, compression: str, cut: float) -> None:
    content = COMPRESSORS[compression](many_reads())
    stop = int(cut * len(content)) if isinstance(cut, float) else cut
    message = failure(written(tmp_path / "reads", content[:stop]))
    assert ": the compressed file ends too early" in message
    assert " complete records" in message


@pytest.mark.parametrize("compression", ["gzip", "BGZF", "zstd", "xz", "bz2"])
def test_truncation_tells_how_far_it_came(tmp_path: Path, compression: str) -> None:
    content = COMPRESSORS[compression](many_reads(8000))
    path = written(tmp_path / "reads", content[: -len(content) // 4])
    names: list[str] = []
    with pytest.raises(InputError) as caught:
        names.extend(read.name for read in read_file(path))
    assert len(names) > 2000
    assert names == [f"read{i}" for i in range(len(names))]
    assert f"after {len(names)} complete records" in str(caught.value)


def test_truncated_stdin(stdin: Callable[[bytes], None]) -> None:
    stdin(gzip.compress(FASTQ)[:-10])
    assert "standard input: the compressed file ends too early" in failure("-")


def test_bgzf_cut_between_blocks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bgzf(b">a\n" + b"ACGT" * 3000 + b"\n")
    second_block = int.from_bytes(content[16:18], "little") + 1
    whole = written(tmp_path / "whole", content)
    cut = written(tmp_path / "cut", content[:second_block])
    assert [len(read.codes) for read in read_file(whole)] == [12000]
    assert caplog.messages == []
    assert [len(read.codes) for read in read_file(cut)] == [3997]
    assert caplog.messages == [f"{cut} lacks the block that ends a BGZF file; it may have been cut short"]


def test_fastq_in_bgzf_cut_within_a_record(tmp_path: Path) -> None:
    content = bgzf(many_reads(100))
    second_block = int.from_bytes(content[16:18], "little") + 1
    message = failure(written(tmp_path / "cut", content[:second_block]))
    assert message.endswith(", record 13, line 52: Length of sequence and qualities differ")


@pytest.mark.parametrize("compression", ["gzip", "BGZF", "zstd", "xz", "bz2"])
def test_corrupt_compression(tmp_path: Path, compression: str) -> None:
    content = COMPRESSORS[compression](many_reads(200))
    for place in range(len(content) // 8, len(content), len(content) // 8):
        broken = (
            content[:place] + bytes(255 - byte for byte in content[place : place + 8]) + content[place + 8 :]
        )
        failure(written(tmp_path / "reads", broken))


@pytest.mark.parametrize("garbage", [b"\n", b"garbage", b"garbage" * 10, FASTQ])
def test_gzip_with_something_behind(tmp_path: Path, garbage: bytes) -> None:
    message = failure(written(tmp_path / "reads.gz", gzip.compress(FASTQ) + garbage))
    assert "goes on after its end" in message or "is corrupt" in message


def test_gzip_padded_with_zeros(tmp_path: Path) -> None:
    path = written(tmp_path / "reads.gz", gzip.compress(FASTQ) + b"\0" * 100)
    assert listed(list(read_file(path))) == CONTENT


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        (b"@a\nAC\n+\nII\n@b\nACGT\n+\nII", "record 2, line 8", "Length of sequence and qualities differ"),
        (b"@a\nAC\n+\nII\n@b\nAC\n+\nIII\n", "record 2, line 8", "Length of sequence and qualities differ"),
        (b"@a\nAC\n+\nII\n@b\nAC\n", "record 2, line 7", "Premature end of file"),
        (b"@a\nAC\n+\nII\n@b\nA", "record 2, line 6", "Premature end of file"),
        (b"@a\nAC\n+\nII\n@", "record 2, line 5", "Premature end of file"),
        (b"@a\nAC\n+\nII\n@b\nAC\nII\nII\n", "record 2, line 7", "on one line, as seqtk seq -l0"),
        (b"@a\nAC\n+\nII\n>b\nAC\n+\nII\n", "record 2, line 5", "expected to start with '@'"),
        (b"@a\nAC\n+\nII\n@b\nAC\n+c\nII\n", "record 2, line 7", "descriptions don't match"),
        (b"@a\nAC\n+\nII\n@b\n\n+\n\n@c\nA\n+\nI\n", "record 2", "'b' has no sequence"),
        (b"@a\nAC\n+\nII\n@\nAC\n+\nII\n", "record 2", "has no name"),
        (b"@a\nAC\n+\nII\n@b\nA:\n+\nII\n", "record 2", "'b' holds ':', which is no nucleotide"),
        (b">a\nAC\n>b\n>c\nAC\n", "record 2", "'b' has no sequence"),
        (b">a\nAC\n>b x\n\n", "record 2", "'b' has no sequence"),
        (b">a\nAC\n>\nAC\n", "record 2", "has no name"),
        (b">a\nAC\n> \t\nAC\n", "record 2", "has no name"),
        (b">a\nAC\n>b\nAC GT\n", "record 2", "'b' holds ' ', which is no nucleotide"),
        (b">a\nAC\n>b\n1 ACGT\n", "record 2", "'b' holds '1', which is no nucleotide"),
        (b">a\nAC\n>b\nAC\0GT\n", "record 2", r"'b' holds '\x00', which is no nucleotide"),
        (b">a\nAC\n>p\nMKVLAAGIEF\n", "record 2", "'p' holds 'L', which is no nucleotide"),
        (b">a\nAC\n>b\n@c\nAC\n+\nII\n", "record 2", "'b' holds '@', which is no nucleotide"),
        (b"> dear reader\nthis is a letter\n", "record 1", "'dear' holds 'i', which is no nucleotide"),
        (">a\nAC\n>b\nAé\n".encode(), "record 2", "found 'é'"),
        (b"# only this\nand that\n", "record 1, line 2", "Expected '>'"),
    ],
)  # fmt: skip
def test_broken_records(tmp_path: Path, content: bytes, where: str, problem: str) -> None:
    path = tmp_path / "reads"
    for compressed in (content, gzip.compress(content)):
        message = failure(written(path, compressed))
        assert message.startswith(f"{path}, {where}: ")
        assert problem in message


@pytest.mark.parametrize("content", [">ä\nAC\n>b\nAC\n".encode("latin-1"), "@ä\nAC\n+\nII\n".encode()])
def test_letters_beyond_ascii_are_not_placed_too_exactly(tmp_path: Path, content: bytes) -> None:
    assert "record 1 or a later one: " in failure(written(tmp_path / "reads", content))


def test_reads_before_the_broken_one_are_handed_out(tmp_path: Path) -> None:
    reads = read_file(written(tmp_path / "reads", b">a\nA\n>b\nC\n>c\n\n"))
    assert listed([next(reads), next(reads)]) == [("a", [0]), ("b", [1])]
    with pytest.raises(InputError, match="record 3: 'c' has no sequence"):
        next(reads)


@pytest.mark.parametrize("limits", [(1, 1_024), (10, 1_024), (131_072, 2), (131_072, 1_024)])
def test_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_BASES", limits[0])
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", limits[1])
    monkeypatch.setattr("genood.readers.files._RECORDS_AT_ONCE", 1)
    blocks = list(read_blocks([written(tmp_path / "reads", FASTQ)]))
    assert listed([read for block in blocks for read in block.reads()]) == CONTENT
    assert all(len(block.names) == len(block.mates) == len(block.lengths) for block in blocks)
    assert [len(block.names) for block in blocks] == {1: [1, 1, 1], 10: [2, 1]}.get(
        limits[0], [2, 1] if limits[1] == 2 else [3]
    )
    whole = ReadBlock.joined(blocks)
    assert listed(list(whole.reads())) == CONTENT
    assert listed(list(whole.part(1, 3).reads())) == CONTENT[1:]
    again = ReadBlock.joined(list(blocks_of(whole.reads())))
    assert (again.names, again.lengths.tolist()) == (whole.names, whole.lengths.tolist())
    assert again.codes.tolist() == whole.codes.tolist()


def test_items_at_once() -> None:
    """Looked at after every fourth: no more than three are too many, and none is lost."""
    lengths = [1, 2, 30, 4, 5, 6, 7]
    groups = list(grouped(iter(lengths), lambda length: length * 5_000, at_once=4))
    assert groups == [[1, 2, 30, 4], [5, 6, 7]]

    def broken() -> Iterator[int]:
        yield from lengths[:2]
        raise RuntimeError("reader")

    failing = grouped(broken(), lambda length: length, at_once=4)
    assert next(failing) == [1, 2]
    with pytest.raises(RuntimeError, match="reader"):
        next(failing)


def test_blocks_hold_the_reads_before_a_failure(tmp_path: Path) -> None:
    for broken, problem in [(b"@c\nA:\n+\nII\n", "record 3"), (b"@c\nAC\n+\nI\n", "record 3, line 12")]:
        blocks = read_blocks([written(tmp_path / "reads", b"@a\nA\n+\nI\n@b\nC\n+\nI\n" + broken)])
        assert next(blocks).names == ["a", "b"]
        with pytest.raises(InputError, match=f"{problem}: "):
            next(blocks)


def test_the_first_of_two_problems_is_told(tmp_path: Path) -> None:
    content = b"@a\nA\n+\nI\n@b\nC:\n+\nII\n@c\nA\n+\nII\n"
    assert ", record 2: 'b' holds ':'" in failure(written(tmp_path / "reads", content))


def test_blocks_of_reads_that_fail() -> None:
    def broken() -> Iterator[Read]:
        yield Read("a", uniform_codes(5, 1), 2)
        raise RuntimeError("reader")

    blocks = blocks_of(broken())
    block = next(blocks)
    assert (block.names, block.mates, block.lengths.tolist()) == (["a"], [2], [5])
    with pytest.raises(RuntimeError, match="reader"):
        next(blocks)


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(3).bytes(4000),
        b"Dear reader,\nthis is a letter.\n",
        b"ACGTACGT\n",
        b"<html>",
        b"PK\3\4",
        b"\x1f",
        gzip.compress(gzip.compress(FASTQ, mtime=0), mtime=0),
        b"\n \n",
    ],
)
def test_no_sequences_at_all(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "reads.fq", content)
    assert failure(path) == (
        f"{path}: is neither FASTA nor FASTQ, SAM, BAM or CRAM: it starts with neither '>' nor '@'"
    )


@pytest.mark.parametrize("content", [b"", b"# nothing follows\n"])
@pytest.mark.parametrize("compression", ["plain", "gzip", "BGZF", "zstd", "xz", "bz2"])
def test_empty_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, compression: str
) -> None:
    path = written(tmp_path / "reads", COMPRESSORS[compression](content))
    assert list(read_file(path)) == []
    assert caplog.record_tuples == [("genood.readers.files", logging.WARNING, f"{path} holds no sequences")]


def test_unreadable_paths(tmp_path: Path) -> None:
    good = written(tmp_path / "good.fa", b">a\nA\n")
    for path, problem in [(tmp_path / "none.fa", "no such file"), (tmp_path, "is a directory")]:
        assert problem in failure(path)
        with pytest.raises(InputError, match=problem):
            next(read_files([good, path]))
    check_readable([str(good), "-"])
    with pytest.raises(InputError, match="standard input: can be named only once"):
        check_readable(["-", str(good), "-"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_file(tmp_path: Path) -> None:
    path = written(tmp_path / "reads", FASTQ)
    path.chmod(0)
    assert failure(path) == f"{path}: permission denied"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed by Linux only")
@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("form", [FASTA_FORMS["wrapped"], FASTQ])
def test_files_are_closed(tmp_path: Path, form: bytes, compression: str) -> None:
    path = written(tmp_path / "reads", COMPRESSORS[compression](form + form[:1]))
    before = os.listdir("/proc/self/fd")
    abandoned = read_file(path)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    failure(path)
    written(path, COMPRESSORS[compression](form))
    list(read_file(path))
    assert os.listdir("/proc/self/fd") == before
