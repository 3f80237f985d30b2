"""Read sequences: FASTA, FASTQ, SAM, BAM and CRAM, from files or standard input; or a dataset's."""

from __future__ import annotations

from genood.readers.blocks import Read, ReadBlock, blocks_of
from genood.readers.files import ReaderConfig, holds_alignments, read_blocks, read_file, read_files
from genood.readers.records import Records
from genood.readers.streams import STDIN, check_named_once, check_readable

__all__ = [
    "STDIN",
    "Read",
    "ReadBlock",
    "ReaderConfig",
    "Records",
    "blocks_of",
    "check_named_once",
    "check_readable",
    "holds_alignments",
    "read_blocks",
    "read_file",
    "read_files",
]
