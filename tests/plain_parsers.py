"""Parsers of sequence files as their formats are written down, slow and plain: what readers are held to.

Each takes the whole content and gives (name, letters) of every read, letters as A, C, G, T and N; what is no
file of its format is a ValueError, after the reads before.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator

Parsed = tuple[str, str]

_LETTERS = dict(zip("ACGTU", "ACGTT", strict=True)) | dict.fromkeys("NRYSWKMBDHVX-.*", "N")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_DIGITS = str.maketrans("0123", "ACGT")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SKIPPED = 0x100 | 0x200 | 0x800
_BAM_LETTERS = "=ACMGRSVTWYHKDBN"


def parsed(name: str, letters: str) -> Parsed:
    """A read of a name with what follows it, and of letters as they are in a file."""
    words = name.split(maxsplit=1)
    if not words or not letters or _CONTROL.search(words[0]):
        raise ValueError("no name or no letters")
    try:
        return words[0], "".join(_LETTERS[letter.upper()] for letter in letters)
    except KeyError as error:
        raise ValueError("no nucleotide") from error


def fasta(content: bytes) -> Iterator[Parsed]:
    """Lines that start with '#' are comments."""
    name: str | None = None
    letters: list[str] = []
    for line in re.split("\r\n|\r|\n", content.decode()):
        line = line.strip()
        if line.startswith(">"):
            if name is not None:
                yield parsed(name, "".join(letters))
            name, letters = line[1:], []
        elif line and not line.startswith("#"):
            if name is None:
                raise ValueError("letters before the first name")
            letters.append(line)
    if name is not None:
        yield parsed(name, "".join(letters))


def fastq(content: bytes) -> Iterator[Parsed]:
    """Four lines a record, and blank ones at the end."""
    lines = content.split(b"\n")
    while lines and not lines[-1].strip(b"\r"):
        lines.pop()
    if content.rstrip(b"\r\n").endswith((b"\n+", b"\r\n+")) and len(lines) % 4 == 3:
        lines.append(b"")
    for i in range(0, len(lines), 4):
        if len(lines) < i + 4:
            raise ValueError("half a record")
        name, letters, plus, qualities = (
            line.removesuffix(b"\r").decode("ascii") for line in lines[i : i + 4]
        )
        if not name.startswith("@") or not plus.startswith("+") or len(letters) != len(qualities):
            raise ValueError("no record")
        if plus[1:] not in ("", name[1:]):
            raise ValueError("two names")
        yield parsed(name[1:], letters)


def _as_sequenced(name: bytes, letters: str, flag: int) -> Iterator[Parsed]:
    if letters and not flag & _SKIPPED:
        name, letters = parsed(name.decode("ascii"), letters)
        yield name, letters[::-1].translate(_COMPLEMENT) if flag & 0x10 else letters


def sam(content: bytes) -> Iterator[Parsed]:
    """Of each line the name, the flag and the sequence.

    In that htslib takes 0, 1, 2 and 3 for A, C, G and T, and whatever is no letter of its own for N;
    and flags as C writes numbers, none for 0.
    """
    for line in re.split(b"\r?\n", content):
        if line and not line.startswith(b"@"):
            fields = line.split(b"\t")
            if len(fields) < 11:
                raise ValueError("half a record")
            flag = re.sub(b"^0(?=[0-7])", b"0o", fields[1]) or b"0"
            letters = "" if fields[9] == b"*" else fields[9].decode("latin-1")
            letters = re.sub("[^=ACGTUacgtu0-3]", "N", letters).translate(_DIGITS)
            yield from _as_sequenced(fields[0], letters, int(flag, 0))


def bam(content: bytes) -> Iterator[Parsed]:
    """Uncompressed."""
    try:
        magic, num_text = struct.unpack_from("<4si", content)
        place = 8 + num_text
        (num_references,) = struct.unpack_from("<i", content, place)
        place += 4
        for _ in range(num_references):
            (num_name,) = struct.unpack_from("<i", content, place)
            place += 8 + num_name
        while place < len(content):
            (size,) = struct.unpack_from("<i", content, place)
            num_name, num_cigar, flag, num_bases = struct.unpack_from("<8xB3xHHi", content, place + 4)
            start = place + 36
            name = content[start : start + num_name].split(b"\0")[0]
            start += num_name + 4 * num_cigar
            packed = content[start : start + (num_bases + 1) // 2]
            if magic != b"BAM\1" or size < 32 or len(packed) < (num_bases + 1) // 2:
                raise ValueError("no BAM")
            halves = [half for byte in packed for half in (byte >> 4, byte & 15)]
            yield from _as_sequenced(name, "".join(_BAM_LETTERS[half] for half in halves[:num_bases]), flag)
            place += 4 + size
    except struct.error as error:
        raise ValueError("half a record") from error


def npy(content: bytes) -> Iterator[Parsed]:
    """An array of codes, a row a read."""
    wide = content[6:7] > b"\1"
    start = 12 if wide else 10
    try:
        (size,) = struct.unpack_from("<I" if wide else "<H", content, 8)
        header = ast.literal_eval(content[start : start + size].decode("latin-1").strip())
        num_rows, num_columns = header["shape"]
    except (KeyError, TypeError, SyntaxError, struct.error) as error:
        raise ValueError("no header") from error
    codes = content[start + size :]
    for i in range(num_rows):
        row = codes[i * num_columns : (i + 1) * num_columns]
        if len(row) < num_columns or max(row) > 4:
            raise ValueError("no codes")
        yield f"reads:{i}", "".join("ACGTN"[code] for code in row)
