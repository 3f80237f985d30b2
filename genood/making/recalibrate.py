"""A bundle with another null, of reads given: all of `genood calibrate` but the command line."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genood import __version__
from genood.calibration import LENGTH_BINS, Calibration, NullSample
from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle, how_asked, load_bundle
from genood.errors import ConfigError, InputError
from genood.files import check_outside
from genood.forward import forward
from genood.making.bundling import bundle_directory, check_output, detectors_for
from genood.making.cards import recalibrated_card
from genood.readers import STDIN, ReadBlock, ReaderConfig, check_named_once, check_readable, read_blocks
from genood.recipes import Stream
from genood.sequence import UNKNOWN, Codes, known_runs

logger = logging.getLogger(__name__)

MIN_READS = 100
"""A bin needs so many pieces of reads that do not overlap; p-values then reach 0.01."""

_ENOUGH_READS = 1000
"""With fewer, a p-value of 0.01 is uncertain by more than a third of itself."""
_USUAL_LENGTH = 250
"""Of reads at least this long, pieces of this length must suffice."""
_PIECE_BASES = 50_000
"""Longer reads are taken in pieces of this, so that some of a genome can be kept."""
_KEPT_BASES = 100_000_000
"""Bases of the reads that are kept in memory, at most: a uniform sample, where there are more."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CalibrateJob:
    """What to calibrate on what, and where to put it.

    Attributes
    ----------
    bundle
        Directory of the bundle; left as it is.
    inputs
        Files of in-distribution reads; ``-`` is standard input.
    output
        Directory of the new bundle.
    reader
        How to read the files.
    max_reads
        Pieces of reads behind the p-values of a length, at most.
    seed
        Of the choice of reads and pieces.
    command
        What the user typed, for the record.
    """

    bundle: str
    inputs: Sequence[str]
    output: str
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    max_reads: int = 10_000
    seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        if self.max_reads < MIN_READS:
            raise ConfigError(
                f"calibrating takes at least {MIN_READS} reads of a length, not {self.max_reads}"
            )
        if os.path.realpath(self.output) != os.path.realpath(self.bundle):  # which is refused as a bundle
            check_outside(self.bundle, [self.output])


def recalibrate_bundle(
    job: CalibrateJob,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    hashes: Mapping[Path, Future[str]] | None = None,
) -> AnyBundle:
    """Write a bundle that differs from another in its null alone: that of the reads given.

    Parameters
    ----------
    job
        What to calibrate.
    device
        Where to score, see `Model.on`.
    progress
        Told the number of reads and of bases after each block that is read.
    hashes
        See `Bundle.load`.

    Returns
    -------
    bundle
        As written.

    Raises
    ------
    GenoodError
        The bundle, the reads or the output directory are unfit, or the reads too few; nothing that was
        there is changed.
    """
    output = Path(job.output)
    check_output(output)
    check_readable(job.inputs)
    check_named_once(job.inputs)
    bundle = load_bundle(job.bundle, device, hashes)
    sample = _ReadSample(np.random.default_rng([job.seed, Stream.CALIBRATION]))
    for block in read_blocks(job.inputs, config=job.reader):
        sample.add(block)
        if progress is not None:
            progress(len(block.names), len(block.codes))
    calibration = _fit(bundle, sample.runs(), job)
    bundle.metadata["calibration"] = {
        "source": calibration.source,
        "reads": sample.num_reads,
        "bases": sample.num_bases,
        "sha256": sample.digest.hexdigest(),
        "kept_share": sample.kept_share,
        "min_quality": job.reader.min_quality,
        "max_reads": job.max_reads,
        "seed": job.seed,
        "command": job.command,
        "genood_version": __version__,
        "bundle": bundle.fingerprint,
    }
    bundle.calibration = calibration.to_json()
    bundle.card = recalibrated_card(bundle.card, calibration, _about(bundle.metadata["calibration"]))
    with bundle_directory(output) as temporary:
        bundle.save(temporary)
    return bundle


def _fit(bundle: AnyBundle, runs: _Runs, job: CalibrateJob) -> Calibration:
    """The null distributions of pieces of these runs, at each length that there are enough for."""
    source = ", ".join(os.path.basename(path) if path != STDIN else "standard input" for path in job.inputs)
    shown = job.inputs[0] if len(job.inputs) == 1 else f"the {len(job.inputs)} files"
    samples = {}
    for length in _lengths_of(runs, shown):
        generator = np.random.default_rng([job.seed, Stream.CALIBRATION, length])
        starts = runs.pieces(length, job.max_reads, generator)
        samples[length] = NullSample(_scored(bundle, runs.codes, starts, length), len(starts))
    logger.info("calibrating at %s bases", ", ".join(map(str, samples)))
    return Calibration.fit(samples, detectors_for(bundle), source)


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """R runs of known bases: codes uint8 (N,) that hold them; where each starts and its bases, int64 (R,)."""

    codes: Codes
    starts: Ints
    lengths: Ints

    def num_pieces(self, length: int) -> int:
        """Pieces of so many bases that do not overlap."""
        return int((self.lengths // length).sum())

    def pieces(self, length: int, most: int, generator: np.random.Generator) -> Ints:
        """Where pieces start that do not overlap: all, or a uniform choice of so many."""
        ends = np.cumsum(self.lengths // length)
        total = int(ends[-1])
        chosen = np.sort(generator.choice(total, most, replace=False)) if total > most else np.arange(total)
        runs = np.searchsorted(ends, chosen, side="right")
        place = chosen - np.concatenate([[0], ends[:-1]])[runs]
        # A run is seldom a multiple of the length; what is left over lies before its pieces or after.
        offsets = generator.integers(0, self.lengths % length + 1)
        starts: Ints = self.starts[runs] + offsets[runs] + place * length
        return starts


class _ReadSample:
    """A uniform sample of reads, long ones in pieces, in bounded memory; all, while they fit.

    Each is given a random number, and stays while that is below a share that is halved whenever they
    are too many.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._sequences: list[tuple[float, Codes]] = []
        self._kept_bases = 0
        self.kept_share = 1.0
        self.num_reads = 0
        self.num_bases = 0
        self.digest = hashlib.sha256()
        """Over the number of bases and the codes of each read."""

    def add(self, block: ReadBlock) -> None:
        """Take reads in."""
        for codes in block.sequences():
            self.num_reads += 1
            self.num_bases += len(codes)
            self.digest.update(f"{len(codes)}\0".encode() + codes.tobytes())
            for start in range(0, len(codes), _PIECE_BASES):
                draw = self._generator.random()
                if draw < self.kept_share:
                    self._keep(draw, codes[start : start + _PIECE_BASES].copy())

    def _keep(self, draw: float, codes: Codes) -> None:
        self._sequences.append((draw, codes))
        self._kept_bases += len(codes)
        while self._kept_bases > _KEPT_BASES and self._sequences:
            self.kept_share /= 2
            self._sequences = [(draw, codes) for draw, codes in self._sequences if draw < self.kept_share]
            self._kept_bases = sum(len(codes) for _, codes in self._sequences)

    def runs(self) -> _Runs:
        """The runs of known bases of what was kept, which is handed over."""
        apart = np.array([UNKNOWN], dtype=np.uint8)
        codes = np.concatenate([apart, *(part for _, codes in self._sequences for part in (codes, apart))])
        self._sequences.clear()
        starts, stops = np.array(known_runs(codes, 1), dtype=np.int64).reshape(-1, 2).T
        return _Runs(codes=codes, starts=starts, lengths=stops - starts)


def _lengths_of(runs: _Runs, shown: str) -> list[int]:
    """Lengths that there are reads enough to calibrate at, ascending.

    Beside the usual ones the median of the runs and the length that just enough runs reach: those are
    the lengths of reads of one length.
    """
    longest_first = np.sort(runs.lengths)[::-1]
    own = [int(longest_first[len(longest_first) // 2])] if len(longest_first) else []
    usual = min([*own, _USUAL_LENGTH])
    num_pieces = runs.num_pieces(usual) if own else 0
    if num_pieces < MIN_READS:
        raise InputError(
            shown,
            f"too few to calibrate on: {num_pieces} reads or parts of reads of {usual} known bases; "
            f"give at least {MIN_READS}, better some thousands",
        )
    if num_pieces < _ENOUGH_READS:
        logger.warning(
            "%s: %d reads of %d bases to calibrate on: no p-value will be below %.2g, and small ones "
            "are rough; give some thousands",
            shown,
            num_pieces,
            usual,
            1 / (num_pieces + 1),
        )
    if len(longest_first) >= MIN_READS:
        own.append(int(longest_first[MIN_READS - 1]))
    return [n for n in sorted({*LENGTH_BINS, *own}) if runs.num_pieces(n) >= MIN_READS]


def _scored(bundle: AnyBundle, codes: Codes, starts: Ints, length: int) -> Iterator[ScoreBatch]:
    """What the models say of pieces of a length that start there in the codes."""
    size = max(1, how_asked(bundle).batch_bases // length)
    for first in range(0, len(starts), size):
        batch = codes[starts[first : first + size, None] + np.arange(length)]
        yield forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))


def _about(calibration: Mapping[str, Any]) -> str:
    reads, bases = f"{calibration['reads']:,}", f"{calibration['bases']:,}"
    return f"""They were given as in-distribution, {reads} of {bases} bases, to

    {calibration["command"] or "(not recorded)"}

P-values hold for reads that are like them: as far from the reference, with as many sequencing errors."""
