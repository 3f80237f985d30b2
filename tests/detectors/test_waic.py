"""WAIC by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_batches import likelihood_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.waic import WAIC


def ensemble(*log_p: list[list[float]]) -> ScoreBatch:
    """A batch by members with these log-probabilities."""
    members = tuple(likelihood_batch(np.array(values), np.zeros(np.shape(values))) for values in log_p)
    return replace(members[0], members=members)


def test_by_hand() -> None:
    # Log-likelihoods −2, −4 and −6: mean −4, variance 8/3; −(−4 − 8/3) over 2 bases.
    batch = ensemble([[-1, -1]], [[-2, -2]], [[-3, -3]])
    assert WAIC().score(batch)[0] == pytest.approx((4 + 8 / 3) / 2)


def test_variance_is_that_of_the_read() -> None:
    """Members that differ base by base, but not in sum, agree."""
    batch = ensemble([[-1, -3]], [[-3, -1]])
    assert WAIC().score(batch)[0] == pytest.approx(2)


def test_disagreement_is_ood() -> None:
    """At the same mean, the read that members disagree on scores higher; one length keeps the ranking."""
    batch = ensemble([[-1, -1], [-1, -2]], [[-2, -2], [-2, -1]])
    scores = WAIC().score(batch)
    assert scores[0] > scores[1]
    np.testing.assert_allclose(2 * scores, [3 + 1, 3 + 0])
