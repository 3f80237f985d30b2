"""A Markov chain fitted to the read itself, as a background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_to_allocate
from genood.context.instructions import signed

MAX_ORDER = 3


def read_chain(codes: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Log-probabilities of reads under a Markov chain fitted to each read.

    The order, 0 to 3, is the one of the lowest BIC, −2 ln L + 3·4^k ln n over the n scored bases. Bases
    before a full context have probability 1/4.

    Parameters
    ----------
    codes, lengths
        uint8 (B, L) and int64 (B,), in bases.

    Returns
    -------
    log_probs
        float32 (B, L), nats; 0 where not scored.

    Notes
    -----
    Source: Bai, Ren and Sun 2022, "MLR-OOD: a Markov chain based likelihood ratio method for
    out-of-distribution detection of genomic sequences"; natural logarithms throughout.
    """
    out = np.zeros(codes.shape, dtype=np.float32)
    _fit_all(codes, lengths, out)
    return out


@compiled_to_allocate
def _fit_all(
    codes: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64], out: npt.NDArray[np.float32]
) -> None:
    trial = np.zeros(out.shape[1], dtype=np.float32)
    for r in range(len(codes)):
        read = codes[r, : lengths[r]]
        best = np.inf
        for order in range(MAX_ORDER + 1):
            log_likelihood = _fit(read, order, trial)
            num_scored = max(1, signed((read < 4).sum()))
            bic = -2.0 * log_likelihood + 3.0 * 4.0**order * np.log(num_scored)
            if bic < best:
                best = bic
                out[r, : len(read)] = trial[: len(read)]


@compiled_to_allocate
def _fit(read: npt.NDArray[np.uint8], order: int, trial: npt.NDArray[np.float32]) -> float:
    """Log-likelihood of the chain of one order; log-probabilities into `trial`."""
    counts = np.zeros((4**order, 4))
    mask = (1 << (2 * order)) - 1
    log_likelihood = 0.0
    for filling in range(2):
        history = 0
        num_known = 0
        for t in range(len(read)):
            base = signed(read[t])
            if base > 3:
                num_known = 0
                trial[t] = 0.0
                continue
            if num_known < order:
                value = -np.log(4.0)
            elif filling:
                row = counts[history & mask]
                value = np.log(row[base] / row.sum())
            else:
                value = 0.0
                counts[history & mask, base] += 1.0
            if filling:
                trial[t] = value
                log_likelihood += value
            history = ((history << 2) | base) & 0xFFFF
            num_known += 1
    return log_likelihood
