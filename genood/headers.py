"""Headers of alignment files: whether several agree, and the line that says what genood did."""

from __future__ import annotations

import pysam

from genood.errors import ConfigError

_TOOL = "genood"
_MUST_AGREE = ("SQ", "RG")


class CommonHeader:
    """The one header of records that come from several files."""

    def __init__(self) -> None:
        self.header: pysam.AlignmentHeader | None = None
        self._last: pysam.AlignmentHeader | None = None

    def add(self, header: pysam.AlignmentHeader | None) -> None:
        """Take the first header; see that each further one has the same sequences and read groups.

        Raises
        ------
        ConfigError
            It has not.
        """
        if header is None or header is self._last:
            return
        if self.header is None:
            self.header = header
        elif _lines(header) != _lines(self.header):
            raise ConfigError(
                "--bam-out: the inputs are aligned to different sequences or name different read groups; "
                "score them one by one, or join them with samtools merge first"
            )
        self._last = header


def with_program(header: pysam.AlignmentHeader, version: str, command: str) -> pysam.AlignmentHeader:
    """The header with a last ``@PG`` line, after the program that was last before."""
    ids = [line.get("ID", "") for line in header.to_dict().get("PG", [])]
    name, number = _TOOL, 0
    while name in ids:
        number += 1
        name = f"{_TOOL}.{number}"
    fields = [f"ID:{name}", f"PN:{_TOOL}", *([f"PP:{ids[-1]}"] if ids else []), f"VN:{version}"]
    if command:
        fields.append(f"CL:{' '.join(command.split())}")
    # As text, which leaves all else as it is.
    text = str(header)
    text += "" if not text or text.endswith("\n") else "\n"
    return pysam.AlignmentHeader.from_text(text + "\t".join(["@PG", *fields]) + "\n")


def _lines(header: pysam.AlignmentHeader) -> list[object]:
    lines = header.to_dict()
    return [lines.get(kind, []) for kind in _MUST_AGREE]
