"""What Markov chains and sketches have in common: made at once, with stretches of the reference held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle
from genood.forward import forward
from genood.recipes import Stream
from genood.reference.loading import ReferenceJob, Validation
from genood.reference.sampling import ReadSampler

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
