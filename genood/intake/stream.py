"""What of the input is scored: files, pairs and the selection from them, as one stream of reads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from genood.errors import ConfigError
from genood.intake.pairs import interleaved_blocks, paired_blocks
from genood.intake.selection import SelectionConfig, selected
from genood.readers import (
    STDIN,
    ReadBlock,
    ReaderConfig,
    check_named_once,
    check_readable,
    holds_alignments,
    read_blocks,
)


@dataclass(frozen=True, kw_only=True)
class IntakeConfig:
    """How input becomes reads.

    Attributes
    ----------
    reader
        How files are read.
    pairs
        Where the mates of a pair are: in two files that follow each other among the inputs
        (``two files``), or one after the other (``interleaved``); or None, and reads are no pairs.
    selection
        Which reads are taken.
    """

    reader: ReaderConfig = field(default_factory=ReaderConfig)
    pairs: Literal["two files", "interleaved"] | None = None
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def options(self) -> dict[str, Any]:
        """What decides which reads and bases are scored, as JSON types."""
        return {"min_quality": self.reader.min_quality, **asdict(self.selection)}


def files_read(paths: Sequence[str], config: IntakeConfig) -> list[str]:
    """All files that are read for these inputs."""
    reference = config.reader.reference
    return [*paths, *([] if reference is None else [reference])]


class _Kinds:
    """Whether inputs are alignments, where all their records are to be given back in one file.

    Parameters
    ----------
    config
        How they are read.
    """

    def __init__(self, config: IntakeConfig) -> None:
        self._is_wanted = config.reader.keep_records == "all"
        self._are_mates = config.pairs == "two files"
        self._seen: dict[bool, str] = {}

    def add(self, path: str, are_alignments: bool | None) -> None:
        """Take an input's kind; None says nothing.

        Raises
        ------
        ConfigError
            It does not go with those before, or with the way that mates are given.
        """
        if not self._is_wanted or are_alignments is None:
            return
        if are_alignments and self._are_mates:
            raise ConfigError(
                f"{path}: --bam-out gives back alignments in their order, which --paired does not keep; "
                "use one file, collated by name, with --interleaved"
            )
        self._seen.setdefault(are_alignments, path)
        if len(self._seen) > 1:
            raise ConfigError(
                f"--bam-out: {self._seen[True]} holds alignments, {self._seen[False]} sequences; "
                "no header is right for both: score them apart"
            )


def check_inputs(paths: Sequence[str], config: IntakeConfig) -> None:
    """Raise InputError for inputs that cannot be opened or come twice, ConfigError for what does not fit."""
    check_readable(files_read(paths, config))
    if config.pairs == "two files" and len(paths) % 2:
        raise ConfigError(
            f"--paired needs an even number of files, mates 1 and mates 2 of each pair of files; "
            f"{len(paths)} given"
        )
    if config.pairs == "two files":
        for first, second in zip(paths[::2], paths[1::2], strict=True):
            if STDIN not in (first, second) and os.path.samefile(first, second):
                raise ConfigError(
                    f"{first} and {second} are one file; --paired needs mates 1 and mates 2 in two"
                )
    check_named_once(paths)
    kinds = _Kinds(config)
    for path in paths:
        kinds.add(path, holds_alignments(path) if config.reader.keep_records == "all" else None)


def intake(
    paths: Sequence[str], config: IntakeConfig, skipped: Counter[str]
) -> Generator[ReadBlock, None, None]:
    """The reads to score, in the order of the input; mate 2 after its mate 1, and no block cuts a pair.

    Parameters
    ----------
    paths
        See `read_file`.
    config
        How to read them, and what to take.
    skipped
        Where to count what is left out, by reason.

    Raises
    ------
    GenoodError
        As `check_inputs`, `read_file` and `genood.intake.pairs`.
    """
    check_inputs(paths, config)
    kinds = _Kinds(config)

    def read(path: str) -> Generator[ReadBlock, None, None]:
        with closing(read_blocks([path], config=config.reader, skipped=skipped)) as of_file:
            for block in of_file:
                kinds.add(path, block.from_alignments)  # of a stream only now
                yield block

    def blocks() -> Generator[ReadBlock, None, None]:
        if config.pairs == "two files":
            for first, second in zip(paths[::2], paths[1::2], strict=True):
                yield from paired_blocks(first, second, read)
        else:
            for path in paths:
                if config.pairs is None:
                    yield from read(path)
                else:
                    yield from interleaved_blocks(path, read, warns=config.reader.warns)

    source = blocks()
    with closing(source):
        yield from selected(source, config.selection, paired=config.pairs is not None, skipped=skipped)
