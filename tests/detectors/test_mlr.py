"""The ratio of the best class and the read's own chain, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from toy_batches import likelihood_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.mlr import MarkovLikelihoodRatio
from genood.sequence import encode


def by_class(read: str, *chances: float) -> ScoreBatch:
    """A read whose every base has these chances under the models of the classes."""
    codes = encode(read)[None]
    members = tuple(
        likelihood_batch(np.full(codes.shape, math.log(chance)), np.zeros(codes.shape), codes)
        for chance in chances
    )
    return replace(members[0], members=members)


def test_by_hand() -> None:
    # The chain of AAAC has order 0, (3/4)³ · 1/4; the better class gives (1/2)⁴.
    batch = by_class("AAAC", 1 / 4, 1 / 2)
    expected = -(4 * math.log(1 / 2) - 3 * math.log(3 / 4) - math.log(1 / 4)) / 4
    assert MarkovLikelihoodRatio().score(batch)[0] == pytest.approx(expected)


def test_unknown_bases_count_on_neither_side() -> None:
    [with_unknown] = MarkovLikelihoodRatio().score(by_class("NAAAC", 1 / 2))
    assert with_unknown == pytest.approx(MarkovLikelihoodRatio().score(by_class("AAAC", 1 / 2))[0])


def test_leads_count_on_neither_side() -> None:
    """The chain is fitted to all of the read, of which all but A A A are scored."""
    batch = by_class("AAAC", 1 / 2)
    members = tuple(member.without_leads(np.array([3])) for member in batch.members)
    batch = replace(batch.without_leads(np.array([3])), members=members)
    expected = -(math.log(1 / 2) - math.log(1 / 4))
    assert MarkovLikelihoodRatio().score(batch)[0] == pytest.approx(expected)
