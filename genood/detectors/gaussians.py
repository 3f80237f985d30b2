"""Gaussians of the features of training reads, of one covariance for all classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from genood.detectors.base import ScoreBatch
from genood.detectors.classes import Floats, labelled_features
from genood.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMoments:
    """What N reads of K classes sum up to.

    Attributes
    ----------
    counts
        Reads of each class, float64, shape (K,); all above 0.
    means
        Mean features of each class, float64, shape (K, F).
    scatter
        Σ (h − μ_k)(h − μ_k)ᵀ over all reads with the mean of their class, float64, shape (F, F).
    """

    counts: Floats
    means: Floats
    scatter: Floats

    @classmethod
    def of(cls, batches: Iterable[ScoreBatch]) -> Self:
        """Moments in one pass over the reads; no batch is kept.

        Raises
        ------
        ConfigError
            There are no features, no labels, or no reads.
        """
        counts: dict[int, float] = {}
        means: dict[int, Floats] = {}
        scatter: Floats = np.zeros((0, 0))
        for features, labels in labelled_features(batches):
            deviations = [np.zeros((0, features.shape[1]))]
            for label in np.unique(labels).tolist():
                rows = features[labels == label]
                old, new = counts.get(label, 0.0), float(len(rows))
                mean = rows.mean(axis=0)
                move = mean - means.get(label, mean)
                # Around the joint mean: what the class' two halves scatter, and how far apart they are.
                deviations += [rows - mean, np.sqrt(old * new / (old + new)) * move[None]]
                counts[label] = old + new
                means[label] = mean - move * old / (old + new)
            stacked = np.concatenate(deviations)
            scatter = stacked.T @ stacked if not scatter.size else scatter + stacked.T @ stacked
        if not counts:
            raise ConfigError("there are no reads to learn features from")
        order = sorted(counts)
        return cls(
            counts=np.array([counts[label] for label in order]),
            means=np.stack([means[label] for label in order]),
            scatter=scatter,
        )

    @property
    def num_reads(self) -> float:
        """N."""
        return float(self.counts.sum())

    @property
    def mean(self) -> Floats:
        """Mean of all reads, shape (F,)."""
        return self.counts @ self.means / self.num_reads

    def tied_covariance(self, shrinkage: float | None = None) -> Floats:
        """Covariance within classes, shrunk towards a multiple of the identity, shape (F, F).

        With S = scatter / N it is (1 − ρ) S + ρ (tr S / F) I, so that it has full rank however few the
        reads or collinear the features. ρ is `shrinkage`, or with None that of `oas_shrinkage`.
        """
        covariance = self.scatter / self.num_reads
        num_features = len(covariance)
        if shrinkage is None:
            shrinkage = oas_shrinkage(covariance, self.num_reads)
        # Reads that are all at their centres say nothing of scale: any will do.
        variance = np.trace(covariance) / num_features or 1.0
        return (1 - shrinkage) * covariance + shrinkage * variance * np.eye(num_features)

    def between_covariance(self) -> Floats:
        """Covariance of the means of the classes, shape (F, F); with the tied one, that of all reads."""
        apart = (self.means - self.mean) * np.sqrt(self.counts / self.num_reads)[:, None]
        return apart.T @ apart


def oas_shrinkage(covariance: Floats, num_reads: float) -> float:
    """How far to shrink a sample covariance S of n reads and p features, from 0 to 1.

    ρ = min(1, ((1 − 2/p) tr S² + tr² S) / ((n + 1 − 2/p) (tr S² − tr² S / p)))

    Notes
    -----
    Source: Chen et al. 2010, "Shrinkage Algorithms for MMSE Covariance Estimation", equation 23, the
    oracle approximating shrinkage. scikit-learn has it without 2/p, and only from the reads themselves.
    """
    p = len(covariance)
    of_square, squared = float((covariance**2).sum()), float(np.trace(covariance)) ** 2
    above = (1 - 2 / p) * of_square + squared
    below = (num_reads + 1 - 2 / p) * (of_square - squared / p)
    return 1.0 if above >= below else above / below


def whitening(covariance: Floats) -> Floats:
    """W with W Wᵀ the inverse of a covariance, shape (F, F), so that ‖(h − μ) W‖² is Mahalanobis' distance².

    Eigenvalues below what float64 resolves beside the largest are raised to that.
    """
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(np.maximum(values, len(values) * np.finfo(np.float64).eps * values[-1]))


def squared_distances(features: Floats, means: Floats, whiten: Floats) -> Floats:
    """Mahalanobis' squared distance of B reads to K means, shape (B, K)."""
    white, centres = features @ whiten, means @ whiten
    return np.stack([((white - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
