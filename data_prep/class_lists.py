"""Lists of classes, each with the side of the dataset that it is on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_prep.names import Synonyms
from data_prep.tsv import check_name, read_table
from genood.errors import InputError

PAPER = "paper"
"""Stands for the 130 classes of Ren et al. 2019, Table S3, spelled as in the released ``label_dict.json``."""

SIDES = ("in", "val_ood", "test_ood")

_PAPER_CLASSES = Path(__file__).parent / "data" / "paper_classes.tsv"
_SEPARATOR = ";"


class ListedClass(NamedTuple):
    """A class of a list.

    Attributes
    ----------
    name
        As the list has it, and the plan will.
    side
        One of `SIDES`.
    members
        Genera, as `Synonyms` names them, and species (``Genus species``) whose genomes the class holds.
    """

    name: str
    side: str
    members: frozenset[str]


def read_classes(source: str | os.PathLike[str], synonyms: Synonyms) -> tuple[ListedClass, ...]:
    """The classes of a list, in its order.

    Parameters
    ----------
    source
        ``paper``, or a table with the columns ``class`` and ``side``; in a column ``also``, separated by
        semicolons, further genera or species may stand that belong to the class.
    synonyms
        By which names genera go.

    Raises
    ------
    InputError
        The table cannot be read or is empty, a side is unknown, a name is not printable or not UTF-8, or a
        class is listed twice, by any names.
    """
    path = _PAPER_CLASSES if os.fspath(source) == PAPER else source
    classes: list[ListedClass] = []
    lines: dict[str, int] = {}
    for line, row in read_table(path, ("class", "side"), ("also",)):
        name, side = row["class"], row["side"]
        if not name:
            raise InputError(path, "has no class", line=line)
        check_name(path, "class", name, line=line)
        if side not in SIDES:
            raise InputError(path, f"side is {side!r}, not one of {', '.join(SIDES)}", line=line)
        others = [other.strip() for other in row["also"].split(_SEPARATOR)]
        members = _resolve([name, *filter(None, others)], synonyms)
        for member in sorted(members):
            if member in lines:
                before = lines[member]
                raise InputError(
                    path, f"class {name!r} holds {member}, as does the class on line {before}", line=line
                )
            lines[member] = line
        classes.append(ListedClass(name, side, members))
    if not classes:
        raise InputError(path, "lists no class")
    return tuple(classes)


def _resolve(names: Sequence[str], synonyms: Synonyms) -> frozenset[str]:
    return frozenset(synonyms.genus(name) for name in names)
