"""Per-position values made by hand, and a null to judge them by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genood.calibration import NullDistribution
from genood.stretches.pieces import Positions

NULL = NullDistribution(
    lengths=(1,),
    num_independent=(199.0,),
    levels=np.array([0.0, 1.0]),
    quantiles=np.array([[-1.0, 1.0]]),
)
"""Of 199 reads, OOD scores uniform from -1 to 1 whatever the length: p = (199 (1 - s) / 2 + 1) / 200."""


def sequence(llr: Sequence[float], background: float = -2.0) -> Positions:
    """A sequence whose bases have these log-likelihood ratios; NaN is an unknown base."""
    scored = ~np.isnan(np.array(llr, dtype=np.float64))
    values = np.where(scored, np.array(llr, dtype=np.float64), 0.0)
    return Positions(
        codes=np.where(scored, 0, 4).astype(np.uint8),
        scored=scored,
        log_p=np.where(scored, values + background, 0.0).astype(np.float32),
        background_log_p=np.where(scored, background, 0.0).astype(np.float32),
    )
