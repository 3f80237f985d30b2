"""SAM, BAM and CRAM files, and how reading one fails."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from toys import uniform_codes

from genood.errors import InputError
from genood.readers import ReaderConfig, read_blocks
from genood.sequence import decode

GENOME = uniform_codes(5_000, 1)
MODES = {"SAM": "w", "BAM": "wb", "CRAM": "wc"}


def alignments(
    folder: Path,
    mode: str,
    *,
    number: int = 400,
    reference: Path | None = None,
    options: tuple[bytes, ...] = (),
) -> Path:
    """Reads of 100 bases of the genome, every second one reversed, named r0, r1, ..."""
    path = folder / f"reads.{mode}"
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": len(GENOME), "UR": "/nowhere/to/be/found.fa"}]}
    )
    with pysam.AlignmentFile(
        str(path),
        mode,
        header=header,
        reference_filename=None if reference is None else str(reference),
        format_options=list(options),
    ) as writer:
        for i in range(number):
            record = pysam.AlignedSegment(header)
            record.query_name = f"r{i}"
            record.flag = 16 * (i % 2)
            record.reference_id = 0
            record.reference_start = 11 * i % 4_900
            record.cigarstring = "100M"
            record.query_sequence = decode(GENOME[record.reference_start :][:100])
            record.query_qualities = pysam.qualitystring_to_array("I" * 100)
            writer.write(record)
    return path


def failure(path: Path | str, config: ReaderConfig | None = None) -> str:
    with pytest.raises(InputError) as caught:
        list(read_blocks([path], config=config or ReaderConfig()))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}")
