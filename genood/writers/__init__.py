"""What a run writes: tables, reads, alignments, the summary."""

from __future__ import annotations

from genood.writers.alignments import AlignmentsConfig, alignments_output
from genood.writers.endings import PARTS, check_ending
from genood.writers.index import index_names, indexed_position_table
from genood.writers.kraken import KrakenWriter, kraken_report
from genood.writers.parquet import position_parquet, score_parquet
from genood.writers.reads import FormatCheck, ReadsOutput, ReadsWriter, format_by_name, mate_files
from genood.writers.regions import RegionConfig, RegionOutputs
from genood.writers.streams import STDOUT, open_output
from genood.writers.summary import Summary
from genood.writers.summary_files import summary_files
from genood.writers.tables import PositionTableWriter, ScoreTableWriter

__all__ = [
    "PARTS",
    "STDOUT",
    "AlignmentsConfig",
    "FormatCheck",
    "KrakenWriter",
    "PositionTableWriter",
    "ReadsOutput",
    "ReadsWriter",
    "RegionConfig",
    "RegionOutputs",
    "ScoreTableWriter",
    "Summary",
    "alignments_output",
    "check_ending",
    "format_by_name",
    "index_names",
    "indexed_position_table",
    "kraken_report",
    "mate_files",
    "open_output",
    "position_parquet",
    "score_parquet",
    "summary_files",
]
