"""Files that something has happened to: the reads that plain parsers find in them, or one clear error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import plain_parsers
import pysam
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_parsers import Parsed

from genood.errors import InputError
from genood.readers import read_file
from genood.sequence import decode

FASTA = b"# made by hand\n>a first\nACGTN\nacgu\n>b\tx\n-RY.*\n\n>c\nA\n>d \nCATTAG\nCA\n"
FASTQ = b"@a first\nACGTN\n+\n>@+!I\n@b\nTTu\n+b\n@II\n@c\tx\nA\n+\n+\n@d 1:N:0\nCATTAGCA\n+\nIIIIIIII\n"
SAM = (
    b"@HD\tVN:1.6\n@SQ\tSN:c\tLN:5000\n"
    b"forward\t0\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE\tNM:i:0\n"
    b"reverse\t16\tc\t1\t60\t1S4M\t*\t0\t0\tAACGR\tABCDE\n"
    b"mate\t77\t*\t0\t0\t*\t*\t0\t0\tGG\tII\nmate\t141\t*\t0\t0\t*\t*\t0\t0\tTT\tII\n"
    b"secondary\t256\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE\nnothing\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\n"
)
TOKENS = [
    b"\n", b"\r\n", b"\r", b"\n\n\n\n", b"\t", b" ", b"\0", b"@", b">", b"+", b"#", b";", b"*", b"=", b"\x85",
    b"\xff", b"N", b"\n+\n", b"\n@x\n", b"\n>x\n", b"-1", b"99999999999", b"@HD\t", b"\x1f\x8b", b"BAM\1",
    b"\xef\xbb\xbf",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with bytes changed, lost, repeated, put in or cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(changed)))
        stop = min(len(changed), place + draw(st.integers(0, 12)))
        what = draw(st.sampled_from(["set", "lose", "repeat", "token", "move", "cut"]))
        if what == "set":
            changed[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif what == "lose":
            del changed[place:stop]
        elif what == "repeat":
            changed[place:place] = changed[place:stop] * draw(st.integers(1, 3))
        elif what == "token":
            changed[place:place] = draw(st.sampled_from(TOKENS))
        elif what == "move":
            part = changed[place:stop]
            del changed[place:stop]
            target = draw(st.integers(0, len(changed)))
            changed[target:target] = part
        else:
            del changed[place:]
    return bytes(changed)


def found(content: bytes) -> tuple[list[Parsed], str | None]:
    """What the reader finds in such a file, and the error that ended it; any other than InputError fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reads.npy"
        path.write_bytes(content)
        reads: list[Parsed] = []
        problem = None
        try:
            for read in read_file(path):
                reads.append((read.name, decode(read.codes)))
        except InputError as error:
            problem = str(error)
    assert problem is None or (problem.startswith(f"{path}") and "\n" not in problem)
    return reads, problem


def taken(parser: Iterator[Parsed]) -> tuple[list[Parsed], bool]:
    """What a plain parser finds, and whether it comes to the end."""
    reads: list[Parsed] = []
    try:
        for read in parser:
            reads.append(read)
    except (ValueError, UnicodeDecodeError):
        return reads, False
    return reads, True


def as_bam(sam: bytes) -> bytes:
    """Uncompressed BAM."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "sam", Path(folder) / "bam"
        source.write_bytes(sam)
        with (
            pysam.AlignmentFile(str(source)) as reader,
            pysam.AlignmentFile(str(target), "wbu", template=reader) as writer,
        ):
            for record in reader:
                writer.write(record)
        return gzip.decompress(target.read_bytes())


def as_npy(rows: list[list[int]]) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array(rows, dtype=np.uint8))
    return target.getvalue()


BAM = as_bam(SAM)
NPY = as_npy([[0, 1, 2, 3, 4], [3, 3, 3, 3, 3], [4, 0, 4, 0, 4]])


def check(content: bytes, parse: Callable[[bytes], Iterator[Parsed]], plain: bytes | None = None) -> None:
    """Reads before an error are those of the plain parser; without one, all are."""
    reads, error = found(content)
    expected, is_whole = taken(parse(content if plain is None else plain))
    assert reads == expected[: len(reads)]
    if error is None:
        assert is_whole
        assert len(reads) == len(expected)


@pytest.mark.parametrize("parse", [plain_parsers.fasta, plain_parsers.fastq, plain_parsers.sam])
def test_plain_parsers_find_what_is_there(parse: Callable[[bytes], Iterator[Parsed]]) -> None:
    content = {"fasta": FASTA, "fastq": FASTQ, "sam": SAM}[parse.__name__]
    reads, error = found(content)
    assert (error, len(reads)) == (None, 4)
    assert (reads, True) == taken(parse(content))


@settings(max_examples=500, deadline=None)
@given(content=damaged(FASTA))
def test_fasta(content: bytes) -> None:
    if content.lstrip().startswith((b">", b"#")):
        check(content, plain_parsers.fasta)
    else:
        found(content)


@settings(max_examples=500, deadline=None)
@given(content=damaged(FASTQ))
def test_fastq(content: bytes) -> None:
    if content.startswith(b"@") and not content.startswith(b"@HD\t"):
        check(content, plain_parsers.fastq)
    else:
        found(content)


@settings(max_examples=500, deadline=None)
@given(content=damaged(SAM))
def test_sam(content: bytes) -> None:
    if content.startswith(b"@HD\t"):
        check(content, plain_parsers.sam)
    else:
        found(content)


@settings(max_examples=500, deadline=None)
@given(content=damaged(BAM))
def test_bam(content: bytes) -> None:
    if content.startswith(b"BAM\1"):
        check(content, plain_parsers.bam)
    else:
        found(content)


@settings(max_examples=500, deadline=None)
@given(content=damaged(NPY))
def test_npy(content: bytes) -> None:
    if content.startswith(b"\x93NUMPY"):
        check(content, plain_parsers.npy)
    else:
        found(content)


DECOMPRESSION_ERRORS = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError)
DECOMPRESSED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "gzip members": (lambda text: gzip.compress(text[:40]) + gzip.compress(text[40:]), gzip.decompress),
    "bz2": (bz2.compress, bz2.decompress),
    "xz": (lzma.compress, lzma.decompress),
    "zstd": (zstd.compress, zstd.decompress),
    "zstd frames": (
        lambda text: zstd.compress(text[:40]) + b"\x50\x2a\x4d\x18\1\0\0\0x" + zstd.compress(text[40:]),
        zstd.decompress,
    ),
}
"""By name, how to compress and another way to decompress."""


@pytest.mark.parametrize("form", DECOMPRESSED)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_compressed(form: str, data: st.DataObject) -> None:
    compress, decompress = DECOMPRESSED[form]
    whole = compress(FASTQ)
    content = data.draw(damaged(whole))
    reads, error = found(content)
    if not content.startswith(whole[:6]):
        return
    try:
        plain = decompress(content)
    except DECOMPRESSION_ERRORS:
        assert error is not None
        assert reads == taken(plain_parsers.fastq(FASTQ))[0][: len(reads)]
    else:
        check(content, plain_parsers.fastq, plain)
