"""Headers of alignment files: whether several agree, and the line that says what genood did."""

from __future__ import annotations

import re

import pysam

from genood.errors import ConfigError

_TOOL = "genood"
_PROGRAM_ID = re.compile(r"^@PG\t(?:[^\n]*\t)?ID:([^\t\n]+)", re.MULTILINE)
_PREVIOUS_ID = re.compile(r"^@PG\t(?:[^\n]*\t)?PP:([^\t\n]+)", re.MULTILINE)


class CommonHeader:
    """The one header of records that come from several files."""

    def __init__(self) -> None:
        self.header: pysam.AlignmentHeader | None = None
        self._last: pysam.AlignmentHeader | None = None

    def add(self, header: pysam.AlignmentHeader | None) -> None:
        """Take the first header; see that it says all that each further one does, but for the sort order.

        Raises
        ------
        ConfigError
            It has not.
        """
        if header is None or header is self._last:
            return
        if self.header is None:
            self.header = header
        elif _content(header) != _content(self.header):
            raise ConfigError(
                "--bam-out: the inputs are aligned to different sequences or name different read groups; "
                "score them one by one, or join them with samtools merge first"
            )
        elif not _notes(header) <= _notes(self.header):
            raise ConfigError(
                "--bam-out: the inputs have different @PG or @CO lines, and those of the first only would be "
                "kept; score them one by one, or join them with samtools merge first"
            )
        self._last = header


def with_program(header: pysam.AlignmentHeader, version: str, command: str) -> pysam.AlignmentHeader:
    """The header with a last ``@PG`` line, after the program that was last before.

    Lines may stand in any order: the last program is one that no other follows; of several, the last line's.
    """
    ids = _PROGRAM_ID.findall(str(header))
    followed = set(_PREVIOUS_ID.findall(str(header)))
    ends = [name for name in ids if name not in followed] or ids
    name, number = _TOOL, 0
    while name in ids:
        number += 1
        name = f"{_TOOL}.{number}"
    fields = [f"ID:{name}", f"PN:{_TOOL}", *([f"PP:{ends[-1]}"] if ends else []), f"VN:{version}"]
    if command:
        fields.append(f"CL:{' '.join(command.split())}")
    # As text, which leaves all else as it is; pysam ends it with an empty line where there is no @SQ.
    lines = [*str(header).splitlines(), "\t".join(["@PG", *fields])]
    return pysam.AlignmentHeader.from_text("".join(f"{line}\n" for line in lines if line))


def _content(header: pysam.AlignmentHeader) -> tuple[object, ...]:
    """What records refer to: sequences and read groups."""
    groups = [line for line in str(header).splitlines() if line.startswith("@RG\t")]
    return header.references, header.lengths, groups


def _notes(header: pysam.AlignmentHeader) -> set[str]:
    """The lines of programs and comments."""
    return {line for line in str(header).splitlines() if line.startswith(("@PG\t", "@CO\t"))}
