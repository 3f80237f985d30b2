"""Parts of an input that are scored apart: what their files are called, and the record of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from genood import __version__
from genood.errors import ConfigError, InputError
from genood.files import write_json
from genood.readers import check_readable

PART_MARK = "%"
"""Stands for the part in a file's name."""
_TOOL, _FORMAT_VERSION = "genood split", 1

Pairs = Literal["two files", "interleaved"] | None


def part_names(num_parts: int) -> list[str]:
    """``1-of-4``, ``2-of-4`` and so on, as Snakemake's scatteritems are called."""
    return [f"{number}-of-{num_parts}" for number in range(1, num_parts + 1)]


def part_file(target: str, name: str) -> str:
    """The file of a part: the target with the part's name where `PART_MARK` is.

    Raises
    ------
    ConfigError
        The target does not say where that is to be.
    """
    folder, file = os.path.split(target)
    if file.count(PART_MARK) != 1:
        raise ConfigError(
            f"{target}: put one {PART_MARK} in the name, which becomes 1-of-4 and so on, as in "
            f"parts/{PART_MARK}.fastq.gz"
        )
    return os.path.join(folder, file.replace(PART_MARK, name))


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of an input.

    Attributes
    ----------
    name
        As `part_names` has it.
    files
        Its file, or those of mates 1 and mates 2.
    reads, bases
        What it holds.
    """

    name: str
    files: tuple[str, ...]
    reads: int
    bases: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An input and the parts that it was cut into, in order.

    Attributes
    ----------
    inputs
        The files.
    pairs, reference
        How they were read, see `IntakeConfig` and `ReaderConfig`.
    skipped
        Records of alignments that are no reads, by reason.
    parts
        All of them.
    """

    inputs: tuple[str, ...]
    pairs: Pairs
    reference: str | None
    skipped: Mapping[str, int]
    parts: tuple[Part, ...]

    @property
    def num_records(self) -> int:
        """Reads and records that are none."""
        return sum(part.reads for part in self.parts) + sum(self.skipped.values())

    def save(self, path: str) -> None:
        """Write it as JSON; ``-`` is standard output."""
        write_json(
            path,
            {
                "tool": _TOOL,
                "version": __version__,
                "format_version": _FORMAT_VERSION,
                **asdict(self),
            },
        )

    @classmethod
    def read(cls, path: str) -> Manifest:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            It cannot be read, or is none.
        """
        check_readable([path])
        try:
            with open(path, encoding="utf-8") as stream:
                return cls._of(json.load(stream))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(path, f"is no manifest of genood split ({reason}); split again") from error

    @classmethod
    def _of(cls, value: Any) -> Manifest:
        if value["tool"] != _TOOL or value["format_version"] != _FORMAT_VERSION:
            raise ValueError("it is of another tool or version")
        if value["pairs"] not in (None, "two files", "interleaved"):
            raise ValueError("it does not say where mates are")
        return cls(
            inputs=tuple(map(str, value["inputs"])),
            pairs=value["pairs"],
            reference=value["reference"],
            skipped={str(reason): int(number) for reason, number in value["skipped"].items()},
            parts=tuple(
                Part(
                    name=str(part["name"]),
                    files=tuple(map(str, part["files"])),
                    reads=int(part["reads"]),
                    bases=int(part["bases"]),
                )
                for part in value["parts"]
            ),
        )

    def order(self, path: str, tables: Sequence[str], inputs: Sequence[Sequence[str]]) -> list[int]:
        """The places of the parts' tables in the order of the parts.

        Parameters
        ----------
        path
            Of the manifest, for errors.
        tables
            Score tables.
        inputs
            The files that each was made from, maybe named in the directory of its table. Of those that are
            no longer there the last part of the name decides.

        Raises
        ------
        InputError
            A table is of no part, two are of one, or a part has none.
        """
        numbers = {_real(part.files): number for number, part in enumerate(self.parts)}
        by_last = {_last(part.files): number for number, part in enumerate(self.parts)}
        are_told_apart = len(by_last) == len(self.parts)
        places: dict[int, int] = {}
        for place, (table, files) in enumerate(zip(tables, inputs, strict=True)):
            number = numbers.get(_real(files), numbers.get(_places(files, table)))
            if number is None and are_told_apart and not any(map(os.path.exists, _places(files, table))):
                number = by_last.get(_last(files))
            if number is None:
                raise InputError(
                    table,
                    f"is of {', '.join(files)}, which {path} does not name as a part; give its own parts",
                )
            if number in places:
                other, name = tables[places[number]], self.parts[number].name
                raise InputError(table, f"is of part {name}, as {other} is; give each part once")
            places[number] = place
        missing = [part.name for number, part in enumerate(self.parts) if number not in places]
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise InputError(path, f"names parts of which no table is given: {shown}; score and give all")
        return [places[number] for number in range(len(self.parts))]


def check_apart(tables: Sequence[str], inputs: Sequence[Sequence[str]]) -> None:
    """Raise InputError if two tables are of the same reads."""
    found: dict[tuple[str, ...], str] = {}
    for table, files in zip(tables, inputs, strict=True):
        if "-" in files:
            continue  # of standard input, each time another one
        if (other := found.setdefault(_places(files, table), table)) != table:
            raise InputError(table, f"is of {', '.join(files)}, as {other} is; give each part once")
    twice = [table for table, number in Counter(map(os.path.realpath, tables)).items() if number > 1]
    if twice:
        raise InputError(twice[0], "is named twice; give each part once")


def _real(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(os.path.realpath, files))


def _last(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(os.path.basename, files))


def _places(files: Sequence[str], table: str) -> tuple[str, ...]:
    """Where the files are from which a table was made, maybe in the directory in which it is."""
    beside = tuple(os.path.join(os.path.dirname(table), file) for file in files)
    are_here = all(map(os.path.exists, files)) and not all(map(os.path.exists, beside))
    return _real(files if are_here else beside)
