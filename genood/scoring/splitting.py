"""One input in several files, to be scored apart: all of `genood split` but the command line."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pysam

from genood.engine import EngineConfig
from genood.errors import ConfigError, InputError
from genood.files import appear_together, atomic_path, check_distinct, check_writable
from genood.intake.pairs import starts_of_pairs
from genood.intake.stream import IntakeConfig, check_inputs, files_read, intake
from genood.intake.windowing import windows_of
from genood.readers import STDIN, ReadBlock, ReaderConfig, Records, holds_alignments
from genood.scoring.parts import Manifest, Pairs, Part, part_file, part_names
from genood.writers import PARTS, ReadsWriter, check_ending, mate_files, open_output
from genood.writers.streams import write_errors_named

logger = logging.getLogger(__name__)

MOST_PARTS = 10_000
_BAM = ".bam"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitJob:
    """What to split, and into what.

    Attributes
    ----------
    inputs
        Files of reads, see `read_file`.
    num_parts
        How many parts.
    output
        Name of the parts' files, with `PART_MARK`; of two files of mates see `mate_files`.
    manifest
        File for the record of the parts, where wanted; ``-`` is standard output.
    pairs, reference
        See `IntakeConfig` and `ReaderConfig`.
    """

    inputs: Sequence[str]
    num_parts: int
    output: str
    manifest: str | None = None
    pairs: Pairs = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.num_parts <= MOST_PARTS:
            raise ConfigError(f"an input is split into 1 to {MOST_PARTS} parts, not {self.num_parts}")
        for path in self.inputs:
            if path == STDIN or (os.path.exists(path) and not os.path.isfile(path)):
                raise InputError(path, "is read twice, to make the parts equal; give a file")
        if not self.writes_alignments:
            check_ending(PARTS, self.output)
        outputs = [file for files in self.files() for file in files]
        check_distinct(files_read(self.inputs, self.intake()), [*outputs, self.manifest])

    @property
    def writes_alignments(self) -> bool:
        """Whether the parts are BAM."""
        return self.output.lower().endswith(_BAM)

    def files(self) -> list[tuple[str, ...]]:
        """The files of each part."""
        targets = [part_file(self.output, name) for name in part_names(self.num_parts)]
        return [tuple(mate_files(target, self.pairs)) for target in targets]

    def intake(self, keep: Literal["reads", "all"] | None = None, *, warns: bool = True) -> IntakeConfig:
        """How the inputs are read, and which records are kept."""
        reader = ReaderConfig(reference=self.reference, keep_records=keep, warns=warns)
        return IntakeConfig(reader=reader, pairs=self.pairs)


def split_files(job: SplitJob) -> Manifest:
    """Write the parts, of about as many bases each, in the order of the input; on failure none appears.

    Where the input is that long, a part is made of whole windows, as scoring takes them: whatever model
    scores it, it then does the very same sums as on the whole. No pair is cut.

    Returns
    -------
    manifest
        What is written as `job.manifest`.

    Raises
    ------
    GenoodError
        An input or an output is unfit; the input has changed meanwhile.
    """
    _check_kinds(job)
    skipped: Counter[str] = Counter()
    plan = _Plan(job.num_parts)
    config = EngineConfig()
    with closing(intake(job.inputs, job.intake(), skipped)) as blocks:
        for window in windows_of(blocks, config.window_bases, config.window_reads):
            plan.add(window)
    ends = plan.ends()
    with appear_together():
        bases = _write(job, ends)
        manifest = Manifest(
            inputs=tuple(job.inputs),
            pairs=job.pairs,
            reference=job.reference,
            skipped=dict(skipped),
            parts=tuple(
                Part(name=name, files=files, reads=reads, bases=num_bases)
                for name, files, reads, num_bases in zip(
                    part_names(job.num_parts), job.files(), np.diff([0, *ends]).tolist(), bases, strict=True
                )
            ),
        )
        if job.manifest is not None:
            manifest.save(job.manifest)
    logger.info("%d reads in %d parts", ends[-1], job.num_parts)
    return manifest


def _check_kinds(job: SplitJob) -> None:
    """Raise GenoodError for inputs that cannot be read, or whose records the parts' format cannot hold."""
    check_inputs(job.inputs, job.intake())
    check_writable([*(file for files in job.files() for file in files), job.manifest])
    for path in job.inputs:
        are_alignments = holds_alignments(path)
        if are_alignments and not job.writes_alignments:
            raise ConfigError(f"{path} holds alignments, whose parts are BAM: let {job.output} end in {_BAM}")
        if are_alignments and len(job.inputs) > 1:
            raise ConfigError(f"{path} holds alignments: split such files one by one, or join them first")
        if are_alignments is False and job.writes_alignments:
            raise ConfigError(f"{path} holds no alignments; let {job.output} end in .fastq.gz or .fasta.gz")


class _Plan:
    """Where parts end: at ends of windows, or of reads while windows are fewer than parts.

    Parameters
    ----------
    num_parts
        How many there are to be. Memory is bounded by that, and grows by the window.
    """

    def __init__(self, num_parts: int) -> None:
        self._num_parts = num_parts
        self._num_reads = self._num_bases = 0
        self._windows: list[tuple[int, int]] = []
        self._reads: list[tuple[Ints, Ints]] | None = []

    def add(self, window: ReadBlock) -> None:
        """Take the reads of the next window."""
        if not window.names:
            return
        if self._reads is not None:
            may_end = np.ones(len(window.names), dtype=np.bool_)
            may_end[starts_of_pairs(window.names, window.mates)] = False
            reads = np.flatnonzero(may_end) + 1
            bases = np.cumsum(window.lengths)[may_end]
            self._reads.append((self._num_reads + reads, self._num_bases + bases))
        self._num_reads += len(window.names)
        self._num_bases += int(window.lengths.sum())
        self._windows.append((self._num_reads, self._num_bases))
        if len(self._windows) >= self._num_parts:
            self._reads = None

    def ends(self) -> list[int]:
        """Number of reads up to the end of each part; the last ones are empty where reads are too few."""
        if self._reads is None:
            reads, bases = np.array(self._windows, dtype=np.int64).T
        elif self._reads:
            reads, bases = (np.concatenate(column) for column in zip(*self._reads, strict=True))
        else:
            reads = bases = np.zeros(0, dtype=np.int64)
        ends: list[int] = []
        place = -1
        for number in range(1, self._num_parts + 1):
            nearest = int(np.searchsorted(bases, self._num_bases * number / self._num_parts))
            if 0 < nearest < len(bases):
                target = self._num_bases * number / self._num_parts
                nearest -= bool(target - bases[nearest - 1] < bases[nearest] - target)
            # One more for each part at least, and as many left as there are parts to come.
            place = max(place + 1, min(nearest, len(bases) - 1 - self._num_parts + number))
            ends.append(int(reads[place]) if place < len(reads) else self._num_reads)
        ends[-1] = self._num_reads
        return ends


def _write(job: SplitJob, ends: Sequence[int]) -> list[int]:
    """Write all parts; the bases of each."""
    keep: Literal["reads", "all"] = "all" if job.writes_alignments else "reads"
    bases = [0] * job.num_parts
    # What there was to warn of was, when the parts were planned.
    with closing(intake(job.inputs, job.intake(keep, warns=False), Counter())) as blocks:
        pieces = _cut(blocks, ends, job.inputs[0])
        piece = next(pieces, None)
        header = None if piece is None or piece[1].records is None else piece[1].records.header
        for part, files in enumerate(job.files()):
            with _opened(files, header) as writer:
                while piece is not None and piece[0] == part:
                    assert piece[1].records is not None
                    writer.write(piece[1].records)
                    bases[part] += int(piece[1].lengths.sum())
                    piece = next(pieces, None)
    return bases


def _cut(blocks: Iterable[ReadBlock], ends: Sequence[int], path: str) -> Iterator[tuple[int, ReadBlock]]:
    """The same reads, cut where parts end, each block with the number of its part."""
    part = num_read = 0
    changed = InputError(path, "has changed while it was split; split it again")
    for block in blocks:
        if not block.names:  # other records
            yield part, block
        start = 0
        while start < len(block.names):
            while part < len(ends) - 1 and num_read == ends[part]:
                part += 1
            stop = min(len(block.names), start + ends[part] - num_read)
            if stop == start:
                raise changed
            yield part, block.part(start, stop)
            num_read, start = num_read + stop - start, stop
    if num_read != ends[-1]:
        raise changed


class _PartWriter(Protocol):
    def write(self, records: Records) -> None: ...


class _ReadsPart:
    """A part as FASTQ or FASTA: one file, or two of mates."""

    def __init__(self, writers: Sequence[ReadsWriter]) -> None:
        self._writers = writers

    def write(self, records: Records) -> None:
        for number, writer in enumerate(self._writers):
            writer.write(records.items[number :: len(self._writers)])


class _AlignmentsPart:
    """A part as BAM, with the header and all records as they were."""

    def __init__(self, target: str, file: pysam.AlignmentFile) -> None:
        self._target = target
        self._file = file

    def write(self, records: Records) -> None:
        with write_errors_named(self._target):
            for alignment in records.items:
                self._file.write(alignment)


@contextmanager
def _opened(files: Sequence[str], header: Any) -> Iterator[_PartWriter]:
    """What writes a part, whose files appear when the block ends well."""
    with ExitStack() as stack:
        if not files[0].lower().endswith(_BAM):
            yield _ReadsPart([ReadsWriter(file, stack.enter_context(open_output(file))) for file in files])
            return
        path = stack.enter_context(atomic_path(files[0]))
        with write_errors_named(files[0]):
            file = pysam.AlignmentFile(os.fspath(path), "wb", header=header)
        try:
            yield _AlignmentsPart(files[0], file)
        finally:
            with write_errors_named(files[0]):
                file.close()
