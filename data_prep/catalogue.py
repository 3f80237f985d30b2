"""The catalogue: what genomes of bacteria and archaea there are, their genus, and since when."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice
from typing import NamedTuple

from data_prep.catalogue_table import (
    ACCESSION,
    DIRECTORY,
    Genome,
    genome_key,
    merge_genomes,
    to_date,
    to_percent,
    write_catalogue,
)
from data_prep.names import SYNONYMS, Naming, Synonyms, genus_of_name
from data_prep.ncbi_reports import ReportRow, read_report
from data_prep.taxonomy import Taxonomy, taxdump_files
from genood.errors import ConfigError, InputError
from genood.files import check_distinct

logger = logging.getLogger("genood.prep.catalogue")

LEVELS = {
    "complete": "Complete Genome",
    "chromosome": "Chromosome",
    "scaffold": "Scaffold",
    "contig": "Contig",
}
"""Assembly levels by the word that stands for them on the command line, best first."""

_OLD_LEVELS = {
    "Complete": "Complete Genome",
    "Gapless Chromosome": "Chromosome",
    "Chromosome with gaps": "Chromosome",
    "Chromosome(s)": "Chromosome",
}
"""What reports of before 2014 call them."""

_ALL_GENOMES = "https://ftp.ncbi.nlm.nih.gov/genomes/all"
_PROKARYOTES = {"bacteria", "archaea"}


@dataclass(frozen=True, kw_only=True)
class CatalogueConfig:
    """Which genomes a catalogue holds.

    Attributes
    ----------
    levels
        Keys of `LEVELS`. Ren et al. 2019 name none, but counted complete genomes: all genomes of their
        published benchmark that NCBI's report of 2021 holds are such, and by drafts many of their classes
        were known before the years in which they place them.
    """

    levels: Sequence[str] = ("complete",)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.levels) - set(LEVELS)):
            raise ConfigError(f"no assembly level {', '.join(unknown)}; there are {', '.join(LEVELS)}")
        if not self.levels:
            raise ConfigError("a catalogue needs an assembly level")


class Catalogue(NamedTuple):
    """Genomes, and what was left out.

    Attributes
    ----------
    genomes
        By accession.
    left_out
        Number of rows by reason.
    """

    genomes: list[Genome]
    left_out: Counter[str]


def build_catalogue(
    reports: Sequence[str],
    config: CatalogueConfig | None = None,
    *,
    taxonomy: Taxonomy | None = None,
    synonyms: Synonyms | None = None,
) -> Catalogue:
    """The genomes of NCBI's reports, each once.

    Parameters
    ----------
    reports
        Files of `data_prep.ncbi_reports`.
    config
        Which genomes to keep.
    taxonomy
        Gives the genus by taxid. Without it, and for a row without a taxid, the organism's name does.
    synonyms
        By which names genera go; those that ship, if None.

    Notes
    -----
    ``prokaryotes.txt`` states when the first version of a genome was released, assembly summaries when theirs
    was, which may be years later. The former beside them, or ``assembly_summary_*_historical.txt``, of whose
    replaced versions only the dates are taken, give more genomes the day from which they were known.

    Raises
    ------
    InputError
        A report cannot be read, or not one genome is left.
    """
    config = config or CatalogueConfig()
    synonyms = synonyms if synonyms is not None else Synonyms.load()
    left_out: Counter[str] = Counter()
    found: list[Genome] = []
    replaced: dict[str, date] = {}
    # What is no report is better known before another is read for a minute. Each is opened once, for pipes.
    begun = [_begin(read_report(path)) for path in reports]
    for path, rows in zip(reports, begun, strict=True):
        found += _read_genomes(path, rows, config, taxonomy, synonyms, left_out, replaced)
    merged = [
        genome._replace(
            release_date=min(genome.release_date, replaced.get(genome_key(genome.accession), date.max))
        )
        for genome in merge_genomes(found)
    ]
    if repeated := len(found) - len(merged):
        left_out["the same genome again"] = repeated
    if not merged:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in left_out.most_common(3))
        raise InputError(", ".join(reports), f"not one genome is left: {reasons or 'there are no rows'}")
    return Catalogue(merged, left_out)


def _begin(rows: Iterator[ReportRow]) -> Iterator[ReportRow]:
    """The same rows, of which the first is read now."""
    return chain(list(islice(rows, 1)), rows)


def _read_genomes(
    path: str,
    rows: Iterable[ReportRow],
    config: CatalogueConfig,
    taxonomy: Taxonomy | None,
    synonyms: Synonyms,
    left_out: Counter[str],
    replaced: dict[str, date],
) -> list[Genome]:
    """The genomes of a report's rows; of others, the reason is counted, and the date kept if of use."""
    levels = {LEVELS[word] for word in config.levels}
    genomes: list[Genome] = []
    num_rows = num_unsure = 0
    for row in rows:
        num_rows += 1
        genome = _to_genome(row, levels, taxonomy, synonyms)
        if isinstance(genome, Genome):
            genomes.append(genome)
            # Only assembly summaries have a status, and since 2023 a group.
            num_unsure += bool(row.version_status) and not row.group
        else:
            left_out[genome] += 1
            _keep_date(row, replaced)
    logger.info("%s: %d assemblies", path, num_rows)
    if num_unsure and taxonomy is None:
        logger.warning(
            "%s does not say which of its genomes are of bacteria and archaea; without --taxdump all %d are "
            "taken to be",
            path,
            num_unsure,
        )
    return genomes


def _to_genome(
    row: ReportRow, levels: set[str], taxonomy: Taxonomy | None, synonyms: Synonyms
) -> Genome | str:
    """The genome of a row, or why it is left out."""
    if row.version_status not in ("", "latest"):
        return f"version is {row.version_status}"
    if not ACCESSION.fullmatch(row.accession):
        return "no accession"
    released = to_date(row.release_date)
    if released is None:
        return "no release date"
    path = _to_path(row.path)
    if path is None:
        return "no path"
    level = _OLD_LEVELS.get(row.assembly_level, row.assembly_level)
    if level not in levels:
        return f"assembly level is {level or 'unknown'}"
    if row.group and row.group not in _PROKARYOTES:
        return "not of Bacteria or Archaea"
    genus, reason = _naming(row, taxonomy)
    if reason:
        return reason
    return Genome(
        row.accession,
        row.organism,
        row.taxid,
        synonyms.genus(genus),
        released,
        level,
        int(row.size) if row.size.isdecimal() and int(row.size) else None,
        to_percent(row.gc),
        path,
    )


def _keep_date(row: ReportRow, replaced: dict[str, date]) -> None:
    """Keep the date of a version that is no longer the latest, the first of each assembly."""
    released = to_date(row.release_date)
    if row.version_status not in ("", "latest") and released is not None:
        key = genome_key(row.accession)
        replaced[key] = min(released, replaced.get(key, date.max))


def _naming(row: ReportRow, taxonomy: Taxonomy | None) -> Naming:
    if taxonomy is not None and row.taxid:
        return taxonomy.genus_of(row.taxid)
    return genus_of_name(row.organism)


def _to_path(address: str) -> str | None:
    """The https address of an assembly's directory; reports of before 2017 state one that is no more."""
    name = address.rstrip("/").rpartition("/")[2]
    match = DIRECTORY.fullmatch(name)
    if match is None:
        return None
    number = match["number"]
    return "/".join((_ALL_GENOMES, name[:3], number[:3], number[3:6], number[6:], name))


def make_catalogue(
    reports: Sequence[str],
    output: str,
    config: CatalogueConfig | None = None,
    *,
    taxdump: str | None = None,
    synonyms: Sequence[str] = (),
) -> Catalogue:
    """Read reports, write the catalogue of their genomes, and log what was left out.

    Parameters
    ----------
    reports, config
        As `build_catalogue` takes them.
    output
        Where to write; ``-`` is standard output.
    taxdump
        What `Taxonomy.load` reads.
    synonyms
        Tables beside the one that ships, see `Synonyms.load`.

    Raises
    ------
    InputError
        An input cannot be read, or not one genome is left.
    ConfigError
        The output is an input.
    """
    check_distinct([*reports, *synonyms, *([] if taxdump is None else taxdump_files(taxdump))], [output])
    names = Synonyms.load((SYNONYMS, *synonyms))
    taxonomy = Taxonomy.load(taxdump) if taxdump is not None else None
    catalogue = build_catalogue(reports, config, taxonomy=taxonomy, synonyms=names)
    write_catalogue(catalogue.genomes, output)
    num_genera = len({genome.genus for genome in catalogue.genomes})
    logger.info("%d genomes of %d genera", len(catalogue.genomes), num_genera)
    for reason, number in catalogue.left_out.most_common():
        logger.info("left out %d: %s", number, reason)
    return catalogue
