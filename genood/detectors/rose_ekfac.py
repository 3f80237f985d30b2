"""ROSE with the Fisher information in the eigenbasis of its Kronecker factors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from genood.detectors.base import ScoreBatch
from genood.detectors.rose import Matrix, Parts, Rose, each_gradient, inverse_of, mean_over_reads


class RoseEKFAC(Rose):
    """The score of `Rose` with F_l diagonal in the basis that would make it so, were it a Kronecker product.

    With G the gradient of a layer as a matrix, (out, in), U the eigenvectors of E[G Gᵀ] and V those of
    E[Gᵀ G], F_l has the eigenvalues E[(Uᵀ G V)²], entry by entry, and

        sᵀ F_l⁻¹ s = Σ (Uᵀ G V)² / E[(Uᵀ G V)²].

    A layer whose gradient is a vector has the whole of its Fisher information.

    Notes
    -----
    Source: Choi et al. 2021, see `Rose`; George et al. 2018, "Fast Approximate Natural Gradient Descent
    in a Kronecker-factored Eigenbasis", for the eigenvalues.

    Differs from George et al.: their factors are the covariances of what a layer is given and of the
    derivatives with respect to what comes of it, independent of each other as K-FAC supposes. The weights
    of an LSTM are used at every position, and what is given at one position depends on the others, so
    that neither covariance is that of a factor. The factors here are of the gradients themselves, as in
    Shampoo (Gupta, Koren and Singer 2018): where the covariance of G is a Kronecker product of S and A,
    they are S · tr A and A · tr S, with the same eigenvectors, and F_l is exact.
    """

    name = "rose-ekfac"

    def fit_fisher(self, batches: Iterable[ScoreBatch]) -> dict[str, Parts]:
        """See `Rose.fit_fisher`: the bases, (out, out) and (in, in), and the inverse in them, (out, in)."""
        factors = mean_over_reads(
            ((layer, side), gradient @ gradient.T if side == "out" else gradient.T @ gradient)
            for layer, gradient in each_gradient(batches)
            for side in ("out", "in")
        )
        layers: dict[str, Parts] = defaultdict(dict)
        for (layer, side), factor in factors.items():
            layers[layer][side] = np.linalg.eigh(factor).eigenvectors
        eigenvalues = mean_over_reads(
            (layer, _turned(layers[layer], gradient) ** 2) for layer, gradient in each_gradient(batches)
        )
        for layer, values in eigenvalues.items():
            layers[layer]["inverse"] = inverse_of(values, self.damping)
        return dict(layers)

    def form(self, parts: Mapping[str, Matrix], gradient: Matrix) -> float:
        """See `Rose.form`."""
        return float((_turned(parts, gradient) ** 2 * parts["inverse"]).sum())


def _turned(parts: Mapping[str, Matrix], gradient: Matrix) -> Matrix:
    """A gradient in the bases of a layer."""
    turned: Matrix = parts["out"].T @ gradient @ parts["in"]
    return turned
