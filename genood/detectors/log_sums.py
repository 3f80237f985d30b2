"""Logarithms of sums of exponentials, by SciPy, which is loaded at their first use.

That takes a tenth of a second, and who scores with density models needs none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def log_softmax(values: Floats) -> Floats:
    """Log-probabilities from logits, float64 (B, K), of each row."""
    from scipy import special

    return special.log_softmax(values, axis=1)


def log_sum_exp(values: Floats) -> Floats:
    """Ln Σ e^v of each row of float64 (B, K), shape (B,)."""
    from scipy import special

    return special.logsumexp(values, axis=1)
