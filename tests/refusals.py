"""What tests of commands that must refuse or stop share."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conftest import Genood
from toys import uniform_codes

from genood.sequence import decode

CPU = ("--device", "cpu", "--threads", "1")
WINDOW_READS = 16_384
"""More reads than this and the first rows are written before the last reads are read."""


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_error(result: subprocess.CompletedProcess[str], says: str) -> None:
    """One line that says so, and exit code 1."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [result.stderr.rstrip("\n")]
    assert result.stderr.startswith("genood: error: ")
    assert says in result.stderr


def check_refused(run: Genood, folder: Path, *arguments: str | Path, says: str) -> None:
    """One line that says so, exit code 1, and nothing in the folder changed."""
    before = snapshot(folder)
    check_error(run(*arguments), says)
    assert snapshot(folder) == before


def fastq(num_reads: int) -> bytes:
    codes = uniform_codes(20, 3)
    return b"".join(f"@r{i}\n{decode(codes)}\n+\n{'I' * 20}\n".encode() for i in range(num_reads))
