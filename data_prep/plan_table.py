"""The plan as a table: genomes by split and class; and what there is to say of it."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from data_prep.catalogue_table import Genome
from data_prep.tsv import write_table
from genood.dataset import SPLITS

_COLUMNS = (
    "split",
    "class",
    "accession",
    "organism",
    "taxid",
    "release_date",
    "assembly_level",
    "size",
    "path",
    "file",
)


class PlannedGenome(NamedTuple):
    """One genome of a plan.

    Attributes
    ----------
    split, class_name
        What it belongs to.
    genome
        As the catalogue has it.
    """

    split: str
    class_name: str
    genome: Genome

    @property
    def file(self) -> str:
        """Name of its sequences at NCBI, and in the directory of genomes."""
        return f"{self.genome.path.rpartition('/')[2]}_genomic.fna.gz"


class Remark(NamedTuple):
    """Something odd about a class: its name, its side, and what."""

    class_name: str
    side: str
    remark: str


class Plan(NamedTuple):
    """What was chosen and what was left.

    Attributes
    ----------
    genomes
        By split, class and release date.
    left_out
        Number of genomes, by the reason for which they were left, then by class.
    remarks
        On classes of a list that are missing or were not first seen when their side says, and on classes
        that lack a split.
    first_seen
        The day on which each class was, by name.
    """

    genomes: list[PlannedGenome]
    left_out: dict[str, dict[str, int]]
    remarks: list[Remark]
    first_seen: dict[str, date]


class ClassSize(NamedTuple):
    """What a split has of a class, bases where the catalogue knows them; and when that was first seen."""

    split: str
    class_name: str
    num_genomes: int
    num_bases: int
    first_seen: date


def split_sizes(plan: Plan) -> list[tuple[str, int, int, int]]:
    """Each split, with its number of classes, of genomes, and of bases where the catalogue knows them."""
    sizes = []
    for split in SPLITS:
        rows = [row for row in plan.genomes if row.split == split]
        num_bases = sum(row.genome.size or 0 for row in rows)
        sizes.append((split, len({row.class_name for row in rows}), len(rows), num_bases))
    return sizes


def class_sizes(plan: Plan) -> list[ClassSize]:
    """The size of each class in each of its splits, by split and class."""
    by_class: dict[tuple[str, str], list[Genome]] = {}
    for row in plan.genomes:
        by_class.setdefault((row.split, row.class_name), []).append(row.genome)
    return [
        ClassSize(split, name, len(genomes), sum(each.size or 0 for each in genomes), plan.first_seen[name])
        for (split, name), genomes in by_class.items()
    ]


def write_plan(plan: Plan, target: str) -> None:
    """Write the genomes of a plan as a table."""
    rows = (
        (
            row.split,
            row.class_name,
            row.genome.accession,
            row.genome.organism,
            row.genome.taxid,
            row.genome.release_date,
            row.genome.assembly_level,
            row.genome.size,
            row.genome.path,
            row.file,
        )
        for row in plan.genomes
    )
    write_table(target, _COLUMNS, rows)
