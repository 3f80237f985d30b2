"""The log-odds of the class of mutated reads by hand."""

from __future__ import annotations

import numpy as np
import pytest
from classifier_batches import logits_batch

from genood.detectors.mutated_probability import MutatedProbability
from genood.errors import ConfigError


def test_by_hand() -> None:
    logits = np.log([[0.2, 0.7, 0.1], [0.25, 0.25, 0.5]])
    score = MutatedProbability().score(logits_batch(logits, mutated_class=1))
    assert score == pytest.approx(np.log([0.7 / 0.3, 0.25 / 0.75]))


def test_sure_reads_are_told_apart_at_both_ends() -> None:
    batch = logits_batch([[0.0, 40.0], [0.0, 50.0], [40.0, 0.0], [50.0, 0.0]], mutated_class=1)
    assert MutatedProbability().score(batch).tolist() == [40.0, 50.0, -40.0, -50.0]


def test_without_such_a_class() -> None:
    with pytest.raises(ConfigError, match=r"^mutated-probability needs a classifier with a class of mutated"):
        MutatedProbability().score(logits_batch([[0.0, 1.0]]))
