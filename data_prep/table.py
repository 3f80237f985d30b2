"""Tables that say which class and split each genome belongs to: a plan, or a user's own.

Of their columns ``file``, ``class`` and ``split`` are read, and `PLAN_COLUMNS` if they are there; see
`data_prep.tsv` for the rest.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from data_prep.tsv import check_name, read_table
from genood.dataset import SPLITS, is_codes_file, side_of
from genood.errors import InputError
from genood.readers import check_readable

logger = logging.getLogger("genood.prep.table")

_COLUMNS = ("file", "class", "split")
PLAN_COLUMNS = ("accession", "organism", "release_date")
"""Further columns of a plan, which tell what a genome is; a table may lack them."""
_NUM_NAMED = 3
"""How many of many things a message names."""


class GenomeRow(NamedTuple):
    """One genome of a table.

    Attributes
    ----------
    file
        As the table has it.
    path
        Where that is.
    class_name, split
        What it belongs to.
    line
        Of the table, from 1.
    accession, organism, release_date
        As the table has them, as a plan does; else empty.
    """

    file: str
    path: Path
    class_name: str
    split: str
    line: int
    accession: str = ""
    organism: str = ""
    release_date: str = ""


def read_genome_table(
    table: str | os.PathLike[str], *, genomes: str | os.PathLike[str] | None = None
) -> list[GenomeRow]:
    """The genomes of a table whose split is one of a dataset's; the rest is left out, with a warning.

    Another warning is of classes in distribution that no model can learn from the table's ``train_in``.

    Parameters
    ----------
    table
        See the module.
    genomes
        Directory in which relative files lie; without it, the table's own.

    Returns
    -------
    rows
        In the table's order, at least one.

    Raises
    ------
    InputError
        The table cannot be read, lacks a column or a value, has a name that is not printable or not UTF-8,
        has no row of a split, names a file twice, or has a class both in distribution and out of it; or
        files are missing: then one error names them; or one is part of a dataset.
    """
    directory = Path(table).parent if genomes is None else Path(genomes)
    if genomes is not None and not directory.is_dir():
        raise InputError(genomes, "is no directory; --genomes names the one in which the table's files lie")
    rows = []
    for line, cells in read_table(table, _COLUMNS, PLAN_COLUMNS):
        for name in _COLUMNS:
            if not cells[name]:
                raise InputError(table, f"the row has no {name}", line=line)
        for name in ("file", "class"):
            check_name(table, name, cells[name], line=line)
        file, class_name, split = (cells[name] for name in _COLUMNS)
        more = (cells[name] for name in PLAN_COLUMNS)
        rows.append(GenomeRow(file, directory / file, class_name, split, line, *more))
    left_out = Counter(row.split for row in rows if row.split not in SPLITS)
    rows = [row for row in rows if row.split in SPLITS]
    if not rows:
        raise InputError(table, f"has no row whose split is one of {', '.join(SPLITS)}")
    if left_out:
        splits = ", ".join(f"{number} of {split!r}" for split, number in sorted(left_out.items()))
        logger.warning("%s: rows of other splits are left out: %s", os.fspath(table), splits)
    _check_files_differ(table, rows)
    _check_sides(table, rows)
    _check_present(table, rows)
    _check_trained(table, rows)
    return rows


def listed(things: Collection[object]) -> str:
    """The first few of many things, and how many there are more."""
    shown = ", ".join(str(thing) for thing in list(things)[:_NUM_NAMED])
    more = len(things) - _NUM_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _check_files_differ(table: str | os.PathLike[str], rows: Sequence[GenomeRow]) -> None:
    first: dict[str, GenomeRow] = {}
    for row in rows:
        before = first.setdefault(os.path.realpath(row.path), row)
        if before is not row:
            raise InputError(
                table,
                f"names {row.file!r} again, after line {before.line}; a genome is of one class and one split",
                line=row.line,
            )


def _check_sides(table: str | os.PathLike[str], rows: Sequence[GenomeRow]) -> None:
    """A class whose reads are to be told from themselves is a mistake."""
    inside = {row.class_name: row for row in rows if side_of(row.split) == "in"}
    for row in rows:
        if side_of(row.split) == "ood" and row.class_name in inside:
            other = inside[row.class_name]
            raise InputError(
                table,
                f"class {row.class_name!r} is in {row.split}, but on line {other.line} in {other.split}; "
                "a class is either in distribution or out of it",
                line=row.line,
            )


def _check_trained(table: str | os.PathLike[str], rows: Sequence[GenomeRow]) -> None:
    """Warn of a class that would be OOD to a model, but counts as in distribution."""
    trained = {row.class_name for row in rows if row.split == "train_in"}
    others = {row.class_name for row in rows if side_of(row.split) == "in"} - trained
    if trained and others:
        logger.warning(
            "%s: classes in val_in or test_in without a genome in train_in, from which models learn: %s",
            os.fspath(table),
            listed(sorted(others)),
        )


def _check_present(table: str | os.PathLike[str], rows: Sequence[GenomeRow]) -> None:
    missing = [row for row in rows if not row.path.is_file()]
    if missing:
        raise InputError(
            table,
            f"{len(missing)} of {len(rows)} files are missing: {listed([row.path for row in missing])}; "
            "download them, or say with --genomes where they are",
        )
    check_readable(str(row.path) for row in rows)
    for row in rows:
        if is_codes_file(row.path):
            raise InputError(row.path, "is part of a dataset, no genome")
