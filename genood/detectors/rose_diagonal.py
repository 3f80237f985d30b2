"""ROSE with the diagonal of the Fisher information."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from genood.detectors.base import ScoreBatch
from genood.detectors.rose import Matrix, Parts, Rose, each_gradient, inverse_of, mean_over_reads


class RoseDiagonal(Rose):
    """The score of `Rose` with F_l the mean of the squared derivatives, and nothing off its diagonal.

    Notes
    -----
    Source: Choi et al. 2021, see `Rose`.
    """

    name = "rose-diagonal"

    def fit_fisher(self, batches: Iterable[ScoreBatch]) -> dict[str, Parts]:
        """See `Rose.fit_fisher`: the inverse, (out, in)."""
        diagonals = mean_over_reads((layer, gradient**2) for layer, gradient in each_gradient(batches))
        return {
            layer: {"inverse": inverse_of(diagonal, self.damping)} for layer, diagonal in diagonals.items()
        }

    def form(self, parts: Mapping[str, Matrix], gradient: Matrix) -> float:
        """See `Rose.form`."""
        return float((gradient**2 * parts["inverse"]).sum())
