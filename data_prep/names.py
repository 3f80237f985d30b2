"""Genera from the names of organisms, and genera that have had more than one name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from data_prep.tsv import read_table
from genood.errors import InputError

SYNONYMS = Path(__file__).parent / "data" / "synonyms.tsv"
"""The table that ships: other names of genera that the class lists of Ren et al. 2019 use."""

_GENUS = re.compile(r"[A-Z][a-z]{2,}")
_VIRUS = re.compile(r"\b\w*(phage|virus)\b", re.IGNORECASE)
_SYMBIONT = re.compile(r"\b(endo)?symbiont\b", re.IGNORECASE)
_PHYTOPLASMA = re.compile(r"\bphytoplasma\b", re.IGNORECASE)
_UNCULTURED = {"uncultured", "unclassified", "unidentified", "unknown", "environmental"}
# What follows the name of a family, a phylum or anything else that is no genus: "Firmicutes bacterium
# CAG:124", "Microgenomates group bacterium", "Bacteroidetes oral taxon 274".
_NO_SPECIES = re.compile(r"\w*bacterium|archaeon|group|cluster|clade|(sub)?phylum|(sub)?division|oral")
_HIGHER_TAXON = re.compile(r"\w+(aceae|ales|archaeota|bacteriota|proteobacteria)|Bacteri(a|um)|Archaea")


class Naming(NamedTuple):
    """A genus, or why there is none.

    Attributes
    ----------
    genus
        Empty if there is none.
    reason
        Why there is none, else empty; one of few, so that genomes can be counted by it.
    """

    genus: str
    reason: str = ""


def genus_of_name(organism: str) -> Naming:
    """The genus that an organism's name states beyond doubt: the first word of ``Genus species ...``.

    Parameters
    ----------
    organism
        As NCBI writes it, or the name of a genus alone.

    Notes
    -----
    A symbiont may be named after its genus (*Wolbachia endosymbiont of ...*), a family or its host
    (*Solemya velum gill symbiont*), and only a taxonomy knows which; so none is taken by its name.
    """
    words = organism.split()
    reason = _reason_against(words, organism) if words else "it has no name"
    return Naming("", reason) if reason else Naming(words[0])


def _reason_against(words: list[str], organism: str) -> str:
    first = words[0]
    if first.lower() in _UNCULTURED:
        return "uncultured or unclassified"
    if first[0] in "'\"":
        return "name in quotation marks"
    if first[0] == "[":
        return "genus in brackets"
    if first.lower() == "candidatus":
        return "Candidatus"
    if _VIRUS.search(organism):  # "Escherichia phage T4"
        return "named as a virus"
    if _SYMBIONT.search(organism):
        return "named as a symbiont"
    if _PHYTOPLASMA.search(organism):
        return "named as a phytoplasma"
    if first[0].islower():
        return "name begins in lower case"
    if _HIGHER_TAXON.fullmatch(first) or not _GENUS.fullmatch(first):
        return "first word is no genus"
    # "Marine Group II euryarchaeote", "Omnitrophica WOR_2 bacterium"
    if len(words) > 1 and (not words[1][0].islower() or _NO_SPECIES.fullmatch(words[1])):
        return "no species after the first word"
    return ""


class Synonyms:
    """Names of genera, each with the one by which it goes here.

    Parameters
    ----------
    genera
        Genus by other name.
    """

    def __init__(self, genera: Mapping[str, str] | None = None) -> None:
        self._genera = dict(genera or {})

    @classmethod
    def load(cls, paths: Iterable[str | os.PathLike[str]] = (SYNONYMS,)) -> Self:
        """Read tables with the columns ``name``, ``genus`` and ``source``; a later one overrules an earlier.

        Raises
        ------
        InputError
            A table cannot be read, a cell is empty, or a name is listed twice in a table; or a genus is
            itself another name of a third.
        """
        genera: dict[str, str] = {}
        for path in paths:
            lines: dict[str, int] = {}
            for line, row in read_table(path, ("name", "genus", "source")):
                empty = [column for column, cell in row.items() if not cell]
                if empty:
                    raise InputError(path, f"has no {empty[0]}", line=line)
                if row["name"] in lines:
                    before = lines[row["name"]]
                    raise InputError(path, f"lists {row['name']!r} again, after line {before}", line=line)
                lines[row["name"]] = line
                genera[row["name"]] = row["genus"]
            for name, genus in genera.items():
                if genera.get(genus, genus) != genus:
                    problem = f"{name!r} is called {genus!r}, which is itself called {genera[genus]!r}"
                    raise InputError(path, problem, line=lines.get(name, lines.get(genus)))
        return cls(genera)

    def genus(self, name: str) -> str:
        """The genus by the name that it goes by here: the name itself, if it is in no table."""
        return self._genera.get(name, name)
