"""The probability of the class of mutated reads by hand."""

from __future__ import annotations

import numpy as np
import pytest
from classifier_batches import logits_batch

from genood.detectors.mutated_probability import MutatedProbability
from genood.errors import ConfigError


def test_by_hand() -> None:
    logits = np.log([[0.2, 0.7, 0.1], [0.25, 0.25, 0.5]])
    assert MutatedProbability().score(logits_batch(logits, mutated_class=1)) == pytest.approx([0.7, 0.25])


def test_without_such_a_class() -> None:
    with pytest.raises(ConfigError, match=r"^mutated-probability needs a classifier with a class of mutated"):
        MutatedProbability().score(logits_batch([[0.0, 1.0]]))
