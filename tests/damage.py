"""Small whole files, what the readers find in files like them, and what they should."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plain_parsers
import pysam
from backports import zstd
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


def _converted(sam: bytes, mode: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "sam", Path(folder) / "target"
        source.write_bytes(sam)
        options = [b"no_ref=1"] if mode == "wc" else []
        with (
            pysam.AlignmentFile(str(source)) as reader,
            pysam.AlignmentFile(str(target), mode, template=reader, format_options=options) as writer,
        ):
            for record in reader:
                writer.write(record)
        return target.read_bytes()


def _as_npy(rows: list[list[int]]) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array(rows, dtype=np.uint8))
    return target.getvalue()


class Format(NamedTuple):
    """A small file, what the content of such files begins with, and their plain parser, if there is one."""

    whole: bytes
    start: re.Pattern[bytes]
    parse: Callable[[bytes], Iterator[Parsed]] | None


FORMATS = {
    "fasta": Format(FASTA, re.compile(rb"\s*[>#]"), plain_parsers.fasta),
    "fastq": Format(FASTQ, re.compile(rb"@(?!(HD|SQ|RG|PG|CO)\t)"), plain_parsers.fastq),
    "sam": Format(SAM, re.compile(rb"@(HD|SQ|RG|PG|CO)\t"), plain_parsers.sam),
    "bam": Format(gzip.decompress(_converted(SAM, "wbu")), re.compile(b"BAM\1"), plain_parsers.bam),
    "cram": Format(_converted(SAM, "wc"), re.compile(b"CRAM"), None),
    "dataset": Format(
        _as_npy([[0, 1, 2, 3, 4], [3, 3, 3, 3, 3], [4, 0, 4, 0, 4]]),
        re.compile(rb"\x93NUMPY"),
        plain_parsers.npy,
    ),
}
_SKIPPABLE = b"\x50\x2a\x4d\x18" + (1).to_bytes(4, "little") + b"x"
DECOMPRESSION_ERRORS = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError)
COMPRESSIONS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "gzip members": (lambda text: gzip.compress(text[:40]) + gzip.compress(text[40:]), gzip.decompress),
    "bz2": (bz2.compress, bz2.decompress),
    "xz": (lzma.compress, lzma.decompress),
    "zstd": (zstd.compress, zstd.decompress),
    "zstd frames": (
        lambda text: _SKIPPABLE + zstd.compress(text[:40]) + _SKIPPABLE + zstd.compress(text[40:]),
        zstd.decompress,
    ),
}
"""By name, how to compress and another way to decompress."""


def check_format(name: str, content: bytes) -> None:
    """Hold the reader to the plain parser of a format, if the content seems to be of it."""
    form = FORMATS[name]
    if form.parse is not None and form.start.match(content):
        check(content, form.parse)
    else:
        found(content)


def check_compressed(name: str, content: bytes) -> None:
    """Hold the reader to another decompression of FASTQ, if the content seems to be of that kind."""
    compress, decompress = COMPRESSIONS[name]
    if not content.startswith(compress(FASTQ)[:6]):
        found(content)
        return
    try:
        plain = decompress(content)
    except DECOMPRESSION_ERRORS:
        reads, error = found(content)
        assert error is not None
        assert reads == taken(plain_parsers.fastq(FASTQ))[0][: len(reads)]
    else:
        check(content, plain_parsers.fastq, plain)


def check(content: bytes, parse: Callable[[bytes], Iterator[Parsed]], plain: bytes | None = None) -> None:
    """Reads before an error are those of the plain parser; without one, all are."""
    reads, error = found(content)
    expected, is_whole = taken(parse(content if plain is None else plain))
    assert reads == expected[: len(reads)]
    if error is None:
        assert is_whole
        assert len(reads) == len(expected)
