"""What every training ends with: nulls to calibrate on, a model card, a place to write to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from genood import __version__
from genood.bundle import CHECKPOINT_FILE, Bundle, check_free
from genood.calibration import LENGTH_BINS, MIN_INDEPENDENT_READS, Calibration, NullSample
from genood.detectors import DETECTORS
from genood.detectors.base import ScoreBatch
from genood.detectors.serving import GIVEN, served
from genood.errors import BundleError, TrainingError
from genood.genomes import Genomes

logger = logging.getLogger(__name__)

_OVERLAP = 4
"""Calibration reads drawn for each that does not overlap: more would only repeat them."""

MAX_NULL_BASES = 4_000_000
"""Bases of the calibration reads of a length, at most: with more, calibrating would outlast training."""

_P_VALUES = "\n## p-values\n"
"""What the part of a model card that a calibration writes begins with."""


def check_output(output: Path) -> None:
    """Raise BundleError unless a new bundle can be written there."""
    check_free(output)
    if (output / CHECKPOINT_FILE).exists():
        raise BundleError(
            f"{output}: holds an unfinished training; go on with --resume, or remove the directory"
        )
    if output.is_dir() and any(output.iterdir()):
        raise BundleError(f"{output}: is not empty; give a new directory for the bundle")


def null_lengths(validation: Genomes, read_length: int, source: str) -> dict[int, float]:
    """Lengths that there is sequence to calibrate at, and the independent reads of each.

    Found before training, so that it is told before training.
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
    if longest < read_length:
        logger.warning(
            "%s are short: p-values of reads longer than %d bases will be too large; "
            "give more sequence, some with --val, or a larger --held-out-fraction",
            source,
            longest,
        )
    return lengths


def calibrate(
    score_null: Callable[[int, int], list[ScoreBatch]],
    lengths: Mapping[int, float],
    max_reads: int,
    source: str,
) -> Calibration:
    """Null distributions of all detectors that the bundle serves.

    Parameters
    ----------
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
    return Calibration.fit(samples, {name: DETECTORS[name]() for name in served(GIVEN)}, source)


def model_card(bundle: Bundle, calibration: Calibration, about_background: str, about_nulls: str) -> str:
    """The text of ``MODEL_CARD.md``; the last two arguments are paragraphs."""
    metadata = bundle.metadata
    files = metadata["data"]["files"]
    rows = "\n".join(
        f"| {name} | {sum(f['class_name'] == name for f in files)} "
        f"| {sum(f['usable_bases'] for f in files if f['class_name'] == name):,} |"
        for name in metadata["classes"]
    )
    losses = "\n".join(
        f"| {role} | {values['val_nats_per_base']:.4f} | {values['val_bits_per_base']:.4f} |"
        for role, values in metadata["metrics"].items()
    )
    return f"""# genood bundle

Density models ({bundle.foreground.kind}) that tell reads of the classes below from reads of anything else,
by the log-likelihood ratio of the foreground to the background model ({metadata["background"]}).

Made by genood {__version__} with

    {metadata["command"] or "(not recorded)"}

## Reference

| class | files | usable bases |
|---|---|---|
{rows}

## Models

| model | validation loss, nats per base | bits per base |
|---|---|---|
{losses}

{about_background}
{_p_values_of_card(calibration, about_nulls)}"""


def recalibrated_card(card: str, calibration: Calibration, about_nulls: str) -> str:
    """A model card with another calibration; the last argument is paragraphs."""
    return card.partition(_P_VALUES)[0] + _p_values_of_card(calibration, about_nulls)


def _p_values_of_card(calibration: Calibration, about_nulls: str) -> str:
    null = next(iter(calibration.nulls.values()))
    bins = "\n".join(
        f"| {length} | {number:,.0f} |"
        for length, number in zip(null.lengths, null.num_independent, strict=True)
    )
    return f"""{_P_VALUES}
Calibrated on reads from {calibration.source}:

| scored bases | independent reads |
|---|---|
{bins}

Reads longer than the last bin are judged by its null, which makes their p-values too large.
{about_nulls}
"""
