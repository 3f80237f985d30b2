"""What an attack did: how well each detector still tells the attacked reads, by epsilon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genood.attack.search import Trajectory, with_edits
from genood.attack.victim import batches_of
from genood.detectors.base import Detector
from genood.detectors.serving import needs_of
from genood.ensemble import AnyBundle
from genood.metrics import Separation, separation
from genood.sequence import Codes, pad

Scores = Mapping[str, npt.NDArray[np.float64]]
"""OOD scores of N reads by detector, shape (N,)."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """How one detector of one bundle fares at one epsilon.

    Attributes
    ----------
    epsilon
        Largest share of a read's bases that was substituted.
    bundle
        Which, by its number from 0; 0 is the one that was attacked.
    detector
        Its name.
    separation
        Of the target reads, in-distribution, from the attacked reads.
    mean_score
        Mean OOD score of the attacked reads.
    """

    epsilon: float
    bundle: int
    detector: str
    separation: Separation
    mean_score: float


@dataclass(frozen=True, kw_only=True)
class MatchPoint:
    """How near the attacked reads are to their targets at one epsilon.

    Attributes
    ----------
    epsilon
        See `CurvePoint`.
    mape, median_mape
        Mean and median over reads of the mean absolute percentage error, as shares; None if infinite.
    distance
        Mean distance in units of the target reads' spread.
    success
        Share of the reads that are within the tolerance.
    edits
        Mean number of substitutions.
    edits_needed
        Median number of substitutions of the reads that are within the tolerance; None of none.
    """

    epsilon: float
    mape: float | None
    median_mape: float | None
    distance: float
    success: float
    edits: float
    edits_needed: float | None


def curve_of(
    bundle: AnyBundle,
    number: int,
    detectors: Mapping[str, Detector],
    target_reads: Sequence[Codes],
    attacked: Mapping[float, Sequence[Codes]],
) -> list[CurvePoint]:
    """How the detectors of a bundle fare at each epsilon.

    Parameters
    ----------
    bundle, number
        Which, and its number.
    detectors
        Ready to score, by name.
    target_reads
        In-distribution reads, uint8, shape (L,).
    attacked
        The attacked reads by epsilon.
    """
    in_scores = scores_of(bundle, detectors, target_reads)
    points = []
    for epsilon, reads in attacked.items():
        ood_scores = scores_of(bundle, detectors, reads)
        points += [
            CurvePoint(
                epsilon=epsilon,
                bundle=number,
                detector=name,
                separation=separation(in_scores[name], ood_scores[name]),
                mean_score=float(ood_scores[name].mean()),
            )
            for name in detectors
        ]
    return points


def scores_of(bundle: AnyBundle, detectors: Mapping[str, Detector], reads: Sequence[Codes]) -> Scores:
    """OOD scores of reads, each with a known base, by all detectors."""
    parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in detectors}
    for batch in batches_of(bundle, *pad(reads), needs_of(detectors.values())):
        for name, detector in detectors.items():
            parts[name].append(detector.score(batch))
    return {name: np.concatenate(values).astype(np.float64) for name, values in parts.items()}


def attacked_reads(
    reads: Sequence[Codes], trajectories: Sequence[Trajectory], budgets: Sequence[int]
) -> list[Codes]:
    """The reads with as many of their substitutions as each may have."""
    return [
        with_edits(codes, trajectory.edits[:budget])
        for codes, trajectory, budget in zip(reads, trajectories, budgets, strict=True)
    ]


def match_point(
    epsilon: float,
    trajectories: Sequence[Trajectory],
    budgets: Sequence[int],
    *,
    spread: float,
    near: float,
) -> MatchPoint:
    """How near reads are to their targets, each with as many substitutions as it may have.

    Parameters
    ----------
    epsilon
        That gives these budgets.
    trajectories, budgets
        Of each read, what was done, and how many substitutions count.
    spread, near
        Of the target reads, and the distance at which a read is matched.
    """
    made = [trajectory.within(number) for trajectory, number in zip(trajectories, budgets, strict=True)]
    pairs = list(zip(trajectories, made, strict=True))
    errors = np.array([trajectory.percentage_errors[number] for trajectory, number in pairs])
    far = np.array([trajectory.distances[number] for trajectory, number in pairs])
    needed = [number for number, distance in zip(made, far, strict=True) if distance <= near]
    return MatchPoint(
        epsilon=epsilon,
        mape=_finite(errors.mean()),
        median_mape=_finite(np.median(errors)),
        distance=float(far.mean()) / spread,
        success=len(needed) / len(made),
        edits=float(np.mean(made)),
        edits_needed=float(np.median(needed)) if needed else None,
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
