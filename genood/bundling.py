"""What every training ends with: nulls to calibrate on, a model card, a place to write to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genood import __version__
from genood.bundle import CLASSIFIER, Arrays, Bundle, check_free, is_unfinished
from genood.calibration import LENGTH_BINS, MIN_INDEPENDENT_READS, Calibration, NullSample
from genood.detectors import DETECTORS
from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.serving import served
from genood.engine import forward, needs_of, ready_detector
from genood.ensemble import AnyBundle
from genood.errors import BundleError, TrainingError
from genood.genomes import Genomes, ReadSampler
from genood.models.base import Classifier

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
_GRADIENT_READS_AT_ONCE = 16

_P_VALUES = "\n## p-values\n"
"""What the part of a model card that a calibration writes begins with."""


def check_output(output: Path) -> None:
    """Raise BundleError unless a new bundle can be written there."""
    check_free(output)
    if is_unfinished(output):
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
        See `genood.engine.forward`.
    """

    bundle: AnyBundle
    sampler: ReadSampler
    num_reads: int
    needs: frozenset[str]

    def __iter__(self) -> Iterator[ScoreBatch]:
        reads = self.sampler.sample(0, self.num_reads)
        length = self.sampler.read_length
        size = max(1, self.bundle.model.batch_bases // length)
        if "gradients" in self.needs:
            size = _GRADIENT_READS_AT_ONCE
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
    for name in served(bundle.gives):
        detector = DETECTORS[name]()
        needs_gradients = "gradients" in detector.needs
        if not detector.requires_fit or (needs_gradients and _num_weights(bundle) > MOST_GRADIENT_WEIGHTS):
            continue
        number = NUM_GRADIENT_FIT_READS if needs_gradients else NUM_FIT_READS
        reads = FitReads(bundle=bundle, sampler=sampler, num_reads=number, needs=needs_of([detector]))
        logger.info("fitting %s on %s training reads", name, f"{number:,}")
        states |= {f"{name}/{key}": value for key, value in detector.fit(reads).state().items()}
    return states


def detectors_for(bundle: AnyBundle) -> dict[str, Detector]:
    """The detectors that a bundle has p-values for, ready to score.

    Those that it serves, but for what takes the gradients of each read, which would outlast training on
    as many reads as p-values take, and for what has not been fitted.
    """
    fitted = {key.partition("/")[0] for key in bundle.detectors}
    return {
        name: ready_detector(bundle, name)
        for name in served(bundle.gives)
        if "gradients" not in DETECTORS[name].needs and (not DETECTORS[name].requires_fit or name in fitted)
    }


def _num_weights(bundle: AnyBundle) -> int:
    return sum(array.size for array in bundle.model.weights().values())


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
