"""The catalogue as a table: genomes, each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import NamedTuple

from data_prep.tsv import read_table, write_table
from genood.errors import InputError

ACCESSION = re.compile(r"GC[AF]_(?P<number>\d{9})\.(?P<version>\d+)")
DIRECTORY = re.compile(r"(?P<accession>GC[AF]_(?P<number>\d{9})\.\d+)_\S+")


class Genome(NamedTuple):
    """One assembly.

    Attributes
    ----------
    accession
        With version.
    organism, taxid
        As NCBI's taxonomy had them when the report was made.
    genus
        The class, by the name that `data_prep.names.Synonyms` gives it.
    release_date
        The day on which its first known version became public.
    assembly_level
        ``Complete Genome``, ``Chromosome``, ``Scaffold`` or ``Contig``.
    size
        In bases; None if unknown.
    gc
        In percent; None if unknown.
    path
        Address of its directory at NCBI.
    """

    accession: str
    organism: str
    taxid: str
    genus: str
    release_date: date
    assembly_level: str
    size: int | None
    gc: float | None
    path: str


def to_date(text: str) -> date | None:
    """The day that starts a text, as YYYY-MM-DD or YYYY/MM/DD; None if it is none."""
    try:
        return date.fromisoformat(text[:10].replace("/", "-"))
    except ValueError:
        return None


def to_percent(text: str) -> float | None:
    """A number between 0 and 100; None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 100 else None


def genome_key(accession: str) -> str:
    """What all versions of an assembly share, and GenBank's with RefSeq's: the digits of its accession."""
    match = ACCESSION.fullmatch(accession)
    return match["number"] if match else accession


def merge_genomes(genomes: Iterable[Genome]) -> list[Genome]:
    """Each genome once, by accession, whatever the order given.

    Of several rows, GenBank's comes before RefSeq's, then the highest version: GenBank keeps what it has
    published, while RefSeq withdraws genomes and may leave out sequences; and the benchmark of Ren et al. was
    made of GenBank's. The release date is the earliest of all, as a class is known from then on; size and GC
    are filled in.
    """
    by_key: dict[str, list[Genome]] = {}
    for genome in genomes:
        by_key.setdefault(genome_key(genome.accession), []).append(genome)
    merged = []
    for rows in by_key.values():
        if len(rows) == 1:
            merged += rows
            continue
        rows.sort(key=_precedence, reverse=True)
        merged.append(
            rows[0]._replace(
                release_date=min(row.release_date for row in rows),
                size=next((row.size for row in rows if row.size is not None), None),
                gc=next((row.gc for row in rows if row.gc is not None), None),
            )
        )
    return sorted(merged)


def _precedence(genome: Genome) -> tuple[object, ...]:
    match = ACCESSION.fullmatch(genome.accession)
    version = int(match["version"]) if match else 0
    # The rest decides between rows that differ in nothing that matters, so that their order does not.
    rest = tuple("" if value is None else str(value) for value in genome)
    return genome.accession.startswith("GCA_"), version, genome.size is not None, genome.gc is not None, rest


def write_catalogue(genomes: Iterable[Genome], target: str) -> None:
    """Write genomes as a table; ``-`` is standard output."""
    gc = Genome._fields.index("gc")
    rows = (
        (*genome[:gc], None if genome.gc is None else f"{genome.gc:g}", *genome[gc + 1 :])
        for genome in genomes
    )
    write_table(target, Genome._fields, rows)


def read_catalogue(path: str | os.PathLike[str]) -> Iterator[Genome]:
    """The genomes of a table that `write_catalogue` wrote, or that has its columns; size and GC may be empty.

    Raises
    ------
    InputError
        The file cannot be read, or a value is missing or is none of its kind.
    """
    for line, row in read_table(path, Genome._fields):
        try:
            yield _from_cells(row)
        except ValueError as error:
            raise InputError(path, str(error), line=line) from error


def _from_cells(row: Mapping[str, str]) -> Genome:
    """A genome from a row of a catalogue; ValueError says what is wrong with it."""
    released = to_date(row["release_date"])
    if not ACCESSION.fullmatch(row["accession"]):
        raise ValueError(f"accession is {row['accession']!r}, not GCA_ or GCF_, nine digits and a version")
    if not row["genus"]:
        raise ValueError("has no genus")
    if released is None:
        raise ValueError(f"release_date is {row['release_date']!r}, not YYYY-MM-DD")
    if not DIRECTORY.fullmatch(row["path"].rpartition("/")[2]):
        raise ValueError(f"path is {row['path']!r}, not the directory of an assembly")
    if row["size"] and not row["size"].isdecimal():
        raise ValueError(f"size is {row['size']!r}, not a number of bases")
    return Genome(
        row["accession"],
        row["organism"],
        row["taxid"],
        row["genus"],
        released,
        row["assembly_level"],
        int(row["size"]) if row["size"] else None,
        to_percent(row["gc"]),
        row["path"],
    )
