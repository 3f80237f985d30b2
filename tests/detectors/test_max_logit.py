"""The maximum logit by hand."""

from __future__ import annotations

from classifier_batches import logits_batch

from genood.detectors.max_logit import MaxLogit


def test_by_hand() -> None:
    logits = [[1.0, -2.0, 3.0], [-4.0, -2.0, -3.0]]
    assert MaxLogit().score(logits_batch(logits)).tolist() == [-3.0, 2.0]
    assert MaxLogit().score(logits_batch(logits, mutated_class=2)).tolist() == [-1.0, 2.0]
