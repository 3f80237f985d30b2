"""The distance to the k-th nearest training read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import Floats, classified_of
from genood.errors import ConfigError

_SMALLEST_NORM = 1e-12


class Knn(Detector):
    """OOD score ‖z − z_(k)‖: how far the k-th nearest training read is, in normalised features z = h / ‖h‖.

    Parameters
    ----------
    k
        Which neighbour, from 1; of fewer training reads, the farthest.
    max_reads
        Training reads that are kept, a random sample of those that `fit` is given, each once: they are drawn
        with replacement, and copies would stand for neighbours that are not there. Time and the size of what
        is saved go with it.

    Raises
    ------
    ConfigError
        Values below 1.

    Notes
    -----
    Source: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", which also finds
    that a sample of the training data does nearly as well.
    """

    name = "knn"
    needs = frozenset({"features"})
    requires_fit = True
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"k": (1, 5, 10, 50, 100, 200)}

    def __init__(self, *, k: float = 50, max_reads: int = 10_000) -> None:
        if not (k >= 1 and max_reads >= 1):
            raise ConfigError(f"knn: k and max_reads must be at least 1, not {k} and {max_reads}")
        self.k = int(k)
        self.max_reads = max_reads
        self._features: npt.NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._neighbours = NearestNeighbors(algorithm="brute")

    def fit(self, batches: Iterable[ScoreBatch]) -> Self:
        """Keep a sample of the training reads, the same however they are batched; see `Detector.fit`.

        Raises
        ------
        ConfigError
            There are no features, or no reads.
        """
        generator = np.random.default_rng(0)
        kept: npt.NDArray[np.float32] | None = None
        keys = np.zeros(0)
        for batch in batches:
            rows = _normalised(classified_of(batch).features[batch.num_scored > 0]).astype(np.float32)
            kept = rows if kept is None else np.concatenate([kept, rows])
            keys = np.concatenate([keys, generator.random(len(rows))])
            kept, keys = _each_once(kept, keys)
            kept, keys = kept[: self.max_reads], keys[: self.max_reads]
        if kept is None or not len(kept):
            raise ConfigError("there are no reads to learn features from")
        return self.load_state({"features": kept})

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Normalised features of the reads that are kept, float32, shape (N, F)."""
        return {"features": self._features}

    def load_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Detector.load_state`."""
        self._features = state["features"]
        self._neighbours.fit(self._features.astype(np.float64))
        return self

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a distance from 0 to 2."""
        queries = _normalised(classified_of(batch).features)
        nearest = min(self.k, len(self._features))
        distances, _ = self._neighbours.kneighbors(queries, n_neighbors=nearest)
        return batch.where_scored(distances[:, -1])


def _each_once(
    rows: npt.NDArray[np.float32], keys: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Rows by their keys, of equal rows the one with the smallest, whichever batch it came with."""
    order = np.argsort(keys, kind="stable")
    _, first = np.unique(rows[order], axis=0, return_index=True)
    chosen = order[np.sort(first)]
    return rows[chosen], keys[chosen]


def _normalised(features: npt.NDArray[np.float32]) -> Floats:
    values = features.astype(np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _SMALLEST_NORM)
