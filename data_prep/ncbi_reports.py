"""NCBI's lists of genomes: ``prokaryotes.txt`` and ``assembly_summary*.txt``, of any year.

Both are tab-separated, with the header in a line that starts with ``#``. Columns came, went and moved over
the years, so that they are found by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from data_prep.tsv import read_lines
from genood.errors import InputError


class ReportRow(NamedTuple):
    """One assembly, as a report has it; what the report leaves open is empty.

    Attributes
    ----------
    accession
        With version, GenBank's (``GCA_``) or RefSeq's (``GCF_``).
    organism, taxid
        Of NCBI's taxonomy, as it was when the report was made.
    release_date
        ``YYYY/MM/DD``.
    assembly_level
        In the report's words.
    size
        In bases.
    gc
        In percent.
    path
        Address of the assembly's directory.
    version_status
        ``latest``, or what became of this version; only assembly summaries have it.
    group
        ``bacteria``, ``archaea``, ``fungi``, ...; assembly summaries have it since 2023.
    """

    accession: str
    organism: str
    taxid: str
    release_date: str
    assembly_level: str
    size: str
    gc: str
    path: str
    version_status: str
    group: str


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A kind of report: the columns of `ReportRow` by field, and those that it may lack."""

    name: str
    key: str
    required: Mapping[str, str]
    optional: Mapping[str, str]


_FORMATS = (
    _Format(
        name="prokaryotes.txt",
        key="Organism/Name",
        required={
            "accession": "Assembly Accession",
            "organism": "Organism/Name",
            "release_date": "Release Date",
            "assembly_level": "Status",
            "path": "FTP Path",
        },
        optional={"taxid": "TaxID", "size": "Size (Mb)", "gc": "GC%"},
    ),
    _Format(
        name="assembly_summary.txt",
        key="assembly_accession",
        required={
            "accession": "assembly_accession",
            "organism": "organism_name",
            "release_date": "seq_rel_date",
            "assembly_level": "assembly_level",
            "path": "ftp_path",
            "version_status": "version_status",
        },
        optional={"taxid": "taxid", "size": "genome_size", "gc": "gc_percent", "group": "group"},
    ),
)
_EMPTY = {"-", "na"}
_MEGABASE = 1_000_000


def read_report(path: str | os.PathLike[str]) -> Iterator[ReportRow]:
    """The assemblies of a report, plain or compressed, in order.

    Raises
    ------
    InputError
        The file cannot be read, its header is of no report or lacks a column, or a row ends before one.
    """
    columns: dict[str, int] | None = None
    report = _FORMATS[0]
    for number, text in read_lines(path):
        if columns is None:
            names = [name.strip("# ") for name in text.split("\t")]
            recognised = next((candidate for candidate in _FORMATS if candidate.key in names), None)
            if recognised is not None:
                report, columns = recognised, _find_columns(path, number, names, recognised)
            elif text and not text.startswith("#"):
                raise _unknown(path, number)
        elif text and not text.startswith("#"):
            cells = text.split("\t")
            if len(cells) <= max(columns[field] for field in report.required):
                raise InputError(
                    path, f"the row ends after {len(cells)} columns; fetch it again", line=number
                )
            yield _to_row(cells, columns, report)
    if columns is None:
        raise _unknown(path)


def _unknown(path: str | os.PathLike[str], line: int | None = None) -> InputError:
    names = ", nor ".join(f"{report.key!r} as {report.name} has" for report in _FORMATS)
    return InputError(path, f"is no report of NCBI's: there is no header with a column {names}", line=line)


def _find_columns(
    path: str | os.PathLike[str], line: int, names: list[str], report: _Format
) -> dict[str, int]:
    """Position of each field that the report has."""
    missing = [name for name in report.required.values() if name not in names]
    if missing:
        raise InputError(
            path,
            f"is a {report.name} without the column {', '.join(missing)}; take a later one, which names it",
            line=line,
        )
    return {
        field: names.index(name)
        for field, name in (*report.required.items(), *report.optional.items())
        if name in names
    }


def _to_row(cells: list[str], columns: Mapping[str, int], report: _Format) -> ReportRow:
    values = dict.fromkeys(ReportRow._fields, "")
    for field, position in columns.items():
        cell = cells[position].strip() if position < len(cells) else ""
        values[field] = "" if cell in _EMPTY else cell
    if report.optional["size"].endswith("(Mb)"):
        values["size"] = _bases(values["size"])
    return ReportRow(**values)


def _bases(megabases: str) -> str:
    try:
        return str(round(float(megabases) * _MEGABASE))
    except (ValueError, OverflowError):
        return ""
