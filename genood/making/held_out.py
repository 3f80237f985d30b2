"""What Markov chains and sketches have in common: made at once, with stretches of the reference held out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle
from genood.forward import forward
from genood.making.bundling import check_output, null_lengths
from genood.recipes import Stream
from genood.reference.loading import ReferenceJob, TrainingData, Validation, load_data
from genood.reference.sampling import ReadSampler

logger = logging.getLogger(__name__)

_BATCH_BASES = 65_536


@dataclass(frozen=True, kw_only=True)
class HeldOutJob(ReferenceJob):
    """What to make of what, and where to put the bundle.

    Attributes
    ----------
    replace
        Take the place of what an interrupted run has left of the bundle.
    """

    replace: bool = False


def begin(job: HeldOutJob, data: TrainingData | None) -> tuple[TrainingData, dict[int, float]]:
    """What to learn from and to calibrate on, and at which lengths, with the independent reads of each.

    Parameters
    ----------
    job
        Its configuration has the read length, the held-out fraction and the seed.
    data
        What `load_data` gives for the job, or a part of it; None loads it.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit.
    """
    if not job.replace:
        check_output(Path(job.output))
    data = load_data(job) if data is None else data
    logger.info(
        "reference: %d classes, %d files, %s bases",
        len(data.training.classes),
        len(data.training.files_of_classes()),
        f"{data.training.lengths.sum():,}",
    )
    validation = data.validation
    lengths = null_lengths(
        validation.genomes, job.config.read_length, validation.source, warns=job.wants_p_values
    )
    return data, lengths


def null_scores(
    bundle: AnyBundle, validation: Validation, seed: int
) -> Callable[[int, int], list[ScoreBatch]]:
    """What scores so many validation reads of a length, given as (length, number)."""

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        sampler = ReadSampler(validation.genomes, length, (seed, Stream.CALIBRATION, length))
        codes = sampler.sample(0, num_reads).codes
        return [
            forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))
            for batch in np.array_split(codes, math.ceil(num_reads * length / _BATCH_BASES))
            if len(batch)
        ]

    return score_null


def about_nulls(validation: Validation) -> str:
    """What a model card says of the reads that p-values are from; a paragraph."""
    return _ABOUT_VALIDATION if validation.apart else _ABOUT_HELD_OUT


_ABOUT_HELD_OUT = """Held-out stretches share their genome with what was learned; reads of another strain or
species of a class score as more OOD than they do."""
_ABOUT_VALIDATION = """Where reads to be scored are closer to the reference than these, p-values are
too large; where they are further from it, too small."""
