"""What every training ends with: nulls to calibrate on, a model card, a place to write to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genood import __version__
from genood.bundle import CHECKPOINT_FILE, CLASSIFIER, Bundle, check_free
from genood.calibration import LENGTH_BINS, MIN_INDEPENDENT_READS, Calibration, NullSample
from genood.detectors import DETECTORS
from genood.detectors.base import Detector, ScoreBatch
from genood.errors import BundleError, TrainingError
from genood.genomes import Genomes
from genood.models.base import Classifier

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


def detectors_for(bundle: Bundle) -> dict[str, Detector]:
    """The detectors that a bundle can serve, by name, but for those that have to be fitted."""
    detectors = {name: DETECTORS[name] for name in DETECTORS}
    return {
        name: detector()
        for name, detector in detectors.items()
        if detector.needs <= bundle.gives and not detector.requires_fit
    }


def calibrate(
    bundle: Bundle,
    score_null: Callable[[int, int], list[ScoreBatch]],
    lengths: Mapping[int, float],
    max_reads: int,
    source: str,
) -> Calibration:
    """Null distributions of all detectors that the bundle can serve.

    Parameters
    ----------
    bundle
        What will score.
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


def model_card(bundle: Bundle, calibration: Calibration, about_model: str, about_nulls: str) -> str:
    """The text of ``MODEL_CARD.md``; the last two arguments are paragraphs."""
    metadata = bundle.metadata
    files = metadata["data"]["files"]
    rows = "\n".join(
        f"| {name} | {sum(f['class_name'] == name for f in files)} "
        f"| {sum(f['usable_bases'] for f in files if f['class_name'] == name):,} |"
        for name in metadata["classes"]
    )
    measured = _losses(bundle) if bundle.classifier is None else _accuracy(bundle.classifier, metadata)
    return f"""# genood bundle

{_what_it_is(bundle)}

Made by genood {__version__} with

    {metadata["command"] or "(not recorded)"}

## Reference

| class | files | usable bases |
|---|---|---|
{rows}

## Models

{measured}

{about_model}
{_p_values_of_card(calibration, about_nulls)}"""


def with_section(card: str, section: str) -> str:
    """A model card with one more section, before its p-values."""
    before, heading, after = card.partition(_P_VALUES)
    return f"{before}\n{section}{heading}{after}"


def _what_it_is(bundle: Bundle) -> str:
    kind = bundle.model.kind
    if bundle.classifier is not None:
        return f"""A classifier ({kind}) of the classes below, whose reads it tells from reads of anything
else by how sure it is and by what its last layer is given."""
    return f"""Density models ({kind}) that tell reads of the classes below from reads of anything else,
by the log-likelihood ratio of the foreground to the background model ({bundle.metadata["background"]})."""


def _losses(bundle: Bundle) -> str:
    rows = "\n".join(
        f"| {role} | {values['val_nats_per_base']:.4f} | {values['val_bits_per_base']:.4f} |"
        for role, values in bundle.metadata["metrics"].items()
    )
    return f"| model | validation loss, nats per base | bits per base |\n|---|---|---|\n{rows}"


def _accuracy(classifier: Classifier, metadata: Mapping[str, Any]) -> str:
    """Loss, accuracy, and how many validation reads of each class are given to which."""
    measured = metadata["metrics"][CLASSIFIER]
    confusion = measured["val_confusion"]
    names = list(metadata["classes"]) if classifier.mutated_class != 1 else ["any class"]
    if classifier.mutated_class is not None:
        names.append("mutated")
    right = [f"{row[i] / sum(row):.3f}" if sum(row) else "" for i, row in enumerate(confusion)]
    rows = "\n".join(
        f"| {name} | {' | '.join(map(str, row))} | {share} |"
        for name, row, share in zip(names, confusion, right, strict=True)
        if sum(row)
    )
    return f"""| validation loss, nats per read | accuracy |
|---|---|
| {measured["val_nats_per_read"]:.4f} | {measured["val_accuracy"]:.4f} |

Validation reads by their class (rows) and by the class that they are given:

| class | {" | ".join(names)} | right |
|---{"|---" * len(names)}|---|
{rows}"""


def recalibrated_card(card: str, calibration: Calibration, about_nulls: str) -> str:
    """A model card with another calibration; the last argument is paragraphs."""
    return card.partition(_P_VALUES)[0] + _p_values_of_card(calibration, about_nulls)


def _p_values_of_card(calibration: Calibration, about_nulls: str) -> str:
    if not calibration.nulls:
        return f"{_P_VALUES}\nNo detector is calibrated.\n\n{about_nulls}\n"
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
