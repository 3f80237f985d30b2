"""How well OOD scores separate: AUROC, AUPRC and FPR80, with bootstrap intervals.

As in Ren et al. 2019, in-distribution is the positive class and the score is −ood_score.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from genood.errors import GenoodError

_TPR = 0.8
_INTERVAL_PERCENT = 95

Floats = npt.NDArray[np.floating[Any]]


class Separation(NamedTuple):
    """How well in-distribution and OOD reads are told apart.

    Attributes
    ----------
    auroc
        Area under the ROC curve; ties count half.
    auprc
        Average precision.
    fpr80
        Share of OOD reads taken for in-distribution where 80 % of the latter are recognised.
    """

    auroc: float
    auprc: float
    fpr80: float


class Interval(NamedTuple):
    """A value with a 95 % interval."""

    value: float
    low: float
    high: float


def separation(in_scores: Floats, ood_scores: Floats) -> Separation:
    """Separation of OOD scores of in-distribution reads from those of OOD reads.

    Parameters
    ----------
    in_scores, ood_scores
        OOD scores, shapes (N,) and (M,), higher meaning more OOD. NaN, for reads that could not be
        scored, is left out.

    Raises
    ------
    GenoodError
        One of the two has no score.
    """
    in_scores, ood_scores = _scored(in_scores, ood_scores)
    positive = np.concatenate([np.ones(len(in_scores)), np.zeros(len(ood_scores))])
    scores = -np.concatenate([in_scores, ood_scores])
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    return Separation(
        auroc=float(roc_auc_score(positive, scores)),
        auprc=float(average_precision_score(positive, scores)),
        fpr80=float(fpr[np.searchsorted(tpr, _TPR)]),
    )


def roc_points(
    in_scores: Floats, ood_scores: Floats, *, max_points: int = 500
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The ROC curve of OOD scores, FPR and TPR, each of at most `max_points`, in rising order.

    Corners are kept where the curve has few; else some are left out, evenly along it.

    Parameters
    ----------
    in_scores, ood_scores
        As `separation`.
    max_points
        At least 2.

    Raises
    ------
    GenoodError
        One of the two has no score.
    """
    in_scores, ood_scores = _scored(in_scores, ood_scores)
    positive = np.concatenate([np.ones(len(in_scores)), np.zeros(len(ood_scores))])
    fpr, tpr, _ = roc_curve(positive, -np.concatenate([in_scores, ood_scores]))
    if len(fpr) > max_points:
        way = fpr + tpr
        kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], max_points)))
        fpr, tpr = fpr[kept], tpr[kept]
    return fpr, tpr


def separation_intervals(
    in_scores: Floats, ood_scores: Floats, *, num_resamples: int = 200, seed: int = 0
) -> dict[str, Interval]:
    """`separation` with 95 % percentile bootstrap intervals, reads resampled within each side.

    Parameters
    ----------
    in_scores, ood_scores
        As `separation`.
    num_resamples
        Bootstrap samples, at least 1.
    seed
        Of the resampling.

    Returns
    -------
    intervals
        By the name of the metric.
    """
    in_scores, ood_scores = _scored(in_scores, ood_scores)
    value = separation(in_scores, ood_scores)
    generator = np.random.default_rng(seed)
    resampled = np.array(
        [
            separation(
                generator.choice(in_scores, len(in_scores)),
                generator.choice(ood_scores, len(ood_scores)),
            )
            for _ in range(num_resamples)
        ]
    )
    tail = (100 - _INTERVAL_PERCENT) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return {
        name: Interval(value[i], float(low[i]), float(high[i])) for i, name in enumerate(Separation._fields)
    }


def _scored(in_scores: Floats, ood_scores: Floats) -> tuple[Floats, Floats]:
    in_scores, ood_scores = in_scores[~np.isnan(in_scores)], ood_scores[~np.isnan(ood_scores)]
    for side, scores in (("in-distribution", in_scores), ("OOD", ood_scores)):
        if not len(scores):
            raise GenoodError(f"there is no {side} read with a score; both sides are needed")
    return in_scores, ood_scores
