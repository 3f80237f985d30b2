"""What outputs may be called: a name that ends as another format does is refused, not filled with text."""

from __future__ import annotations

import os

from genood.errors import ConfigError
from genood.files.parquet import is_parquet
from genood.writers.streams import without_compression

PARTS = "-o, the parts,"
"""In place of the option that names the parts of a split."""

_ALIGNMENTS = (".sam", ".bam", ".cram")
_TABLE, _READS, _TEXT = "text or Parquet", "FASTQ or FASTA", "text"
_WRITTEN_AS = {
    "--output": _TABLE,
    "--per-position": _TABLE,
    "-o": _TEXT,
    "--window-table": _TEXT,
    "--regions": "BED",
    "--summary": "JSON",
    "--report": "HTML",
    "--ood-out": _READS,
    "--in-out": _READS,
    PARTS: f"{_READS}, or BAM",
    "--reads-out": _READS,
    "--kraken-report": _TEXT,
    "--kraken-output": _TEXT,
}
"""By option; of `--bam-out`, `AlignmentsConfig` says it."""
_BESIDE_BAM_OUT = frozenset(_WRITTEN_AS) - {"-o", PARTS, "--reads-out"}
"""Options of the command that has `--bam-out`."""


def check_ending(option: str, target: str) -> None:
    """Raise ConfigError for a name that says another format than the option writes."""
    written = _WRITTEN_AS[option]
    stem = without_compression(target)
    ending = os.path.splitext(stem)[1].lower()
    if is_parquet(stem) and written == _TABLE:
        if stem != target:
            raise ConfigError(f"{target}: Parquet is compressed in itself; let it end in {ending}")
    elif ending in _ALIGNMENTS or is_parquet(stem):
        hint = "; --bam-out writes alignments" if ending in _ALIGNMENTS and option in _BESIDE_BAM_OUT else ""
        raise ConfigError(f"{target}: {option} writes {written}, not {ending}; name it otherwise{hint}")
