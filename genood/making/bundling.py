"""What every training ends with: nulls to calibrate on, a model card, a place to write to."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genood.bundle import ROLES, Bundle
from genood.bundles.files import METADATA_FILE, Arrays, check_free, is_unfinished
from genood.calibration import LENGTH_BINS, MIN_INDEPENDENT_READS, Calibration, NullSample
from genood.detectors import DETECTORS
from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.serving import needs_of, ready_detector, served
from genood.ensemble import AnyBundle, how_asked, most_reads, num_weights
from genood.errors import BundleError, InputError, TrainingError
from genood.files import is_temporary, writing_to
from genood.forward import forward
from genood.reference.genomes import Genomes
from genood.reference.sampling import ReadSampler

logger = logging.getLogger(__name__)

_OVERLAP = 4
"""Calibration reads drawn for each that does not overlap: more would only repeat them."""

MAX_NULL_BASES = 4_000_000
"""Bases of the calibration reads of a length, at most: with more, calibrating would outlast training."""

NUM_FIT_READS = 10_000
"""Training reads that detectors are fitted on: enough for the covariance of a thousand features."""
NUM_GRADIENT_FIT_READS = 500
"""Those of detectors that need the gradients of each."""
MOST_GRADIENT_WEIGHTS = 1_000_000
"""Weights of a model whose gradients are taken read by read."""


def check_output(output: Path) -> None:
    """Raise BundleError unless a new bundle can be written there."""
    check_free(output)
    if is_unfinished(output):
        raise BundleError(
            f"{output}: holds an unfinished training; go on with --resume, or remove the directory"
        )
    if output.is_dir() and not all(is_temporary(path) for path in output.iterdir()):
        raise BundleError(f"{output}: is not empty; give a new directory for the bundle")


@contextmanager
def bundle_directory(final: Path) -> Iterator[Path]:
    """A directory for a bundle: it takes its final name when the block ends well, and is removed when not.

    Where there is an empty directory already, what is in it moves there, ``genood.json`` last: others may not
    take its name if it is where a file system is mounted.
    """
    real = Path(os.path.realpath(final))
    is_there = real.is_dir()
    place = real if is_there else real.parent
    with writing_to(final):  # or the error would name the directory beside it
        place.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(prefix=f".{real.name[:50]}.", dir=place)
    with beside as parent:
        inside = Path(parent) / real.name
        inside.mkdir()  # with the usual permissions, which its parent has not
        try:
            yield inside
        except InputError as error:  # name what the user knows of
            named = Path(error.path)
            if not named.is_relative_to(inside):
                raise
            raise InputError(final / named.relative_to(inside), error.problem) from error
        check_free(final)  # another run may have been faster
        if is_there:
            for path in sorted(inside.iterdir(), key=lambda path: path.name == METADATA_FILE):
                os.replace(path, real / path.name)
        else:
            os.replace(inside, real)


def save_at_once(bundle: Bundle, output: Path, *, replace: bool) -> Bundle:
    """Write a bundle of which nothing is on the disk before, so that an interrupt leaves nothing of it.

    Or, to `replace` what an interrupted run has left, file by file, as `Bundle.save` does.
    """
    if replace:
        return bundle.save(output, replace=True)
    with bundle_directory(output) as temporary:
        return bundle.save(temporary)


def null_lengths(
    validation: Genomes, read_length: int, source: str, *, warns: bool = True
) -> dict[int, float]:
    """Lengths that there is sequence to calibrate at, and the independent reads of each.

    Found before training, so that it warns before training where these end below the read length.
    """
    lengths = {}
    for length in sorted({*LENGTH_BINS, read_length}):
        num_independent = validation.independent_reads(length)
        if num_independent < MIN_INDEPENDENT_READS:
            break
        lengths[length] = num_independent
    if not lengths:
        raise TrainingError(f"{source}: too few to calibrate on; give more sequence, or some with --val")
    longest = max(lengths)
    if warns and longest < read_length:
        logger.warning(
            "%s are short: p-values of reads longer than %d bases will be too large; "
            "give more sequence, some with --val, or a larger --held-out-fraction",
            source,
            longest,
        )
    return lengths


@dataclass(frozen=True, kw_only=True)
class FitReads:
    """Training reads with their labels, scored in batches each time that they are gone through.

    Attributes
    ----------
    bundle
        What scores them.
    sampler
        Where they come from.
    num_reads
        How many.
    needs
        See `genood.forward.forward`.
    """

    bundle: AnyBundle
    sampler: ReadSampler
    num_reads: int
    needs: frozenset[str]

    def __iter__(self) -> Iterator[ScoreBatch]:
        reads = self.sampler.sample(0, self.num_reads)
        length = self.sampler.read_length
        size = max(1, min(how_asked(self.bundle).batch_bases // length, most_reads(self.bundle, self.needs)))
        for first in range(0, self.num_reads, size):
            rows = slice(first, first + size)
            lengths = np.full(len(reads.codes[rows]), length, dtype=np.int64)
            batch = forward(self.bundle, reads.codes[rows], lengths, needs=self.needs)
            yield replace(batch, labels=reads.labels[rows])


def fit_detectors(bundle: AnyBundle, sampler: ReadSampler) -> Arrays:
    """Fit those detectors that have to be, and that the bundle serves, on training reads.

    Those that need gradients are left out where the model has more than `MOST_GRADIENT_WEIGHTS`
    weights: there would be a gradient of all of them for each read.

    Returns
    -------
    states
        What they have learned, each array with the detector's name and a slash before its own.
    """
    states: Arrays = {}
    passed: list[ScoreBatch] | None = None
    for name in served(bundle.gives):
        detector = DETECTORS[name]()
        needs_gradients = "gradients" in detector.needs
        if not detector.requires_fit or (needs_gradients and num_weights(bundle) > MOST_GRADIENT_WEIGHTS):
            continue
        number = NUM_GRADIENT_FIT_READS if needs_gradients else NUM_FIT_READS
        logger.info("fitting %s on %s training reads", name, f"{number:,}")
        reads = FitReads(bundle=bundle, sampler=sampler, num_reads=number, needs=needs_of([detector]))
        if needs_gradients:  # too large to be kept
            detector.fit(reads)
        else:  # without them, all needs are met in one pass
            passed = passed if passed is not None else list(reads)
            detector.fit(passed)
        states |= {f"{name}/{key}": value for key, value in detector.state().items()}
    return states


def detectors_for(bundle: AnyBundle) -> dict[str, Detector]:
    """The detectors that a bundle has p-values for, ready to score.

    Those that it serves, but for what takes the gradients of each read, which would outlast training on
    as many reads as p-values take, and for what has not been fitted.
    """
    fitted = {key.partition("/")[0] for key in bundle.detectors}
    return {
        name: ready_detector(name, bundle.detectors)
        for name in served(bundle.gives)
        if "gradients" not in DETECTORS[name].needs and (not DETECTORS[name].requires_fit or name in fitted)
    }


def calibrate(
    bundle: AnyBundle,
    score_null: Callable[[int, int], list[ScoreBatch]],
    lengths: Mapping[int, float],
    max_reads: int,
    source: str,
) -> Calibration:
    """Null distributions of the detectors that a bundle serves, see `detectors_for`.

    Parameters
    ----------
    bundle
        What scores.
    score_null
        Scores so many in-distribution reads of a length, given as (length, number).
    lengths
        As `null_lengths` gives them.
    max_reads
        Reads of a length, at most; of long ones, no more than `MAX_NULL_BASES` hold.
    source
        Where the reads come from, for people.
    """

    def batches(length: int, num_reads: int) -> Iterator[ScoreBatch]:
        yield from score_null(length, num_reads)  # not before its turn, so that one length is in memory

    samples = {}
    for length, num_independent in lengths.items():
        most = min(max_reads, max(1, MAX_NULL_BASES // length))
        num_reads = min(most, math.ceil(_OVERLAP * num_independent))
        samples[length] = NullSample(batches(length, num_reads), min(num_independent, num_reads))
    return Calibration.fit(samples, detectors_for(bundle), source)


def usual_null(lengths: Mapping[int, float], read_length: int, max_reads: int) -> tuple[int, int]:
    """Length and number of the reads behind the losses that are reported.

    Parameters
    ----------
    lengths
        As `null_lengths` gives them.
    read_length
        Bases of a training read; the longest of the lengths that is not above it counts.
    max_reads
        Reads, at most.
    """
    length = max(n for n in lengths if n <= read_length)
    return length, min(max_reads, math.ceil(lengths[length]))


def losses_of(batches: Iterable[ScoreBatch]) -> dict[str, Any]:
    """Mean negative log-probability of both models over reads, for ``genood.json``."""
    totals = np.zeros(3)
    for batch in batches:
        totals += [batch.num_scored.sum(), batch.log_likelihood.sum(), batch.background_log_likelihood.sum()]
    nats = -totals[1:] / totals[0]
    return {
        role: {"val_nats_per_base": value, "val_bits_per_base": value / math.log(2)}
        for role, value in zip(ROLES, nats.tolist(), strict=True)
    }
