"""A plan of three genomes, and what tests of its downloads share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prep.mirror import NCBI, Mirror, genome_path

from data_prep.download import RECORD, DownloadConfig, GenomeDownload
from data_prep.fetch import FetchConfig

FOLDERS = [f"/genomes/all/GCF/000/00{n}/00{n}/GCF_00000{n}00{n}.1_ASM{n}v1" for n in range(1, 4)]
PATHS = [genome_path(folder) for folder in FOLDERS]
FILES = [path.rpartition("/")[2] for path in PATHS]
SIZE = 300_000
"""Bytes of a genome: several reads of a socket."""
CONTENTS = [np.random.default_rng(n).bytes(SIZE + n) for n in range(3)]


def write_plan(path: Path, numbers: Sequence[int]) -> Path:
    lines = ["split\tclass\tsize\tpath\tfile"]
    lines += [f"train_in\tBacillus\t{1000 + n}\t{NCBI}{FOLDERS[n]}\t{FILES[n]}" for n in numbers]
    path.write_text("\n".join(lines) + "\n")
    return path


def impatient(
    mirror: Mirror, *, attempts: int = 3, read_timeout: float = 20, **options: Any
) -> DownloadConfig:
    """A configuration for a mirror, with short waits."""
    fetch = FetchConfig(attempts=attempts, first_wait=0.01, longest_wait=2, read_timeout=read_timeout)
    return DownloadConfig(base_url=mirror.url, fetch=fetch, **options)


def statuses(downloads: Sequence[GenomeDownload]) -> list[str]:
    return [download.status for download in downloads]


def check_whole(genomes: Path, numbers: Sequence[int] = range(3)) -> None:
    """These genomes are there, and nothing else but the record."""
    assert {path.name for path in genomes.iterdir()} == {RECORD, *(FILES[n] for n in numbers)}
    for n in numbers:
        assert (genomes / FILES[n]).read_bytes() == CONTENTS[n]
