"""Markov chains against counting in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from toys import markov_model, uniform_codes

from genood import threads
from genood.context.dense import NATS_PER_STEP
from genood.context.mixture import BLOCK
from genood.errors import ConfigError
from genood.models.markov import MAX_ORDER, MarkovModel
from genood.recipes import LOW_ORDER, MUTATED, NO_BACKGROUND
from genood.sequence import Codes, decode, encode, reverse_complement

ROUNDING = NATS_PER_STEP
"""Nats: each byte stands for probabilities half a step above to half a step below it, and their sum too."""


def words_of(genome: Codes, order: int) -> list[str]:
    """The (order + 1)-mers of both strands."""
    strands = [decode(genome), decode(reverse_complement(genome))]
    return [strand[i : i + order + 1] for strand in strands for i in range(len(strand) - order)]


def probability(words: list[str], context: str, base: str, prior: float) -> float:
    """Of a base after a context: how many of the words end so."""
    below = probability(words, context[1:], base, prior) if context else 0.25
    number = {other: sum(word.endswith(context + other) for word in words) for other in "ACGT"}
    return (number[base] + prior * below) / (sum(number.values()) + prior)


def test_by_hand() -> None:
    """AACG and its other strand CGTT: AA, AC, CG, CG, GT, TT, which end in one A and one C."""
    model = markov_model(encode("AACG"), order=1, prior=2.0)
    [found] = model.log_probs(encode("ACA")[None], np.array([3]))
    a_or_c = (1 + 2 / 4) / (6 + 2)
    after_a = (1 + 2 * a_or_c) / (2 + 2)
    after_c = (0 + 2 * a_or_c) / (2 + 2)
    np.testing.assert_allclose(found, np.log([a_or_c, after_a, after_c]), atol=ROUNDING)


@pytest.mark.parametrize(("order", "length"), [(0, 60), (1, 60), (3, 60), (3, BLOCK + 20), (MAX_ORDER, 60)])
def test_equals_counting(order: int, length: int) -> None:
    """Also where a context reaches back over the end of a block of bases."""
    genome = uniform_codes(300, 1)
    read = uniform_codes(length, 2)
    read[[0, 20, 22]] = 4
    [found] = markov_model(genome, order=order, prior=3.0).log_probs(read[None], np.array([length]))
    letters, words = decode(read), words_of(genome, order)
    for t, letter in enumerate(letters):
        context = letters[max(0, t - order) : t].rpartition("N")[2]
        expected = 0.0 if letter == "N" else math.log(probability(words, context, letter, 3.0))
        assert found[t] == pytest.approx(expected, abs=ROUNDING)


def test_threads_share_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    model = markov_model(uniform_codes(2000, 1), order=5)
    reads, lengths = uniform_codes(300 * 50, 2).reshape(50, 300), np.arange(251, 301)
    found = []
    for number in (1, 3):
        monkeypatch.setattr(threads, "_chosen", number)
        found.append(model.log_probs(reads, lengths))
    np.testing.assert_array_equal(*found)
    assert (found[0] < 0).sum() == lengths.sum()


def test_a_read_of_the_reference_is_likely() -> None:
    genome = uniform_codes(20_000, 3)
    model = markov_model(genome, order=8, prior=1.0)
    reads = np.stack([genome[:250], reverse_complement(genome[:250]), uniform_codes(250, 4)])
    mine, other_strand, foreign = model.log_probs(reads, np.full(3, 250)).sum(axis=1)
    assert min(mine, other_strand) > 250 * math.log(0.5)
    assert foreign < 250 * math.log(0.25)


def test_untrained_is_uniform() -> None:
    model = MarkovModel.from_config({"order": 3})
    found = model.log_probs(uniform_codes(20, 1)[None], np.array([20]))
    np.testing.assert_allclose(found, math.log(0.25), rtol=1e-6)


def test_low_order_background() -> None:
    genome = uniform_codes(2000, 5)
    read, length = uniform_codes(100, 6)[None], np.array([100])
    model = markov_model(genome, order=5)
    log_p, background = model.log_probs_with_background(read, length, LOW_ORDER)
    np.testing.assert_array_equal(log_p, model.log_probs(read, length))
    np.testing.assert_allclose(background, markov_model(genome, order=2).log_probs(read, length), atol=0.05)
    assert not model.log_probs_with_background(read, length, NO_BACKGROUND)[1].any()


def test_backgrounds_that_it_does_not_derive() -> None:
    read, length = uniform_codes(10, 7)[None], np.array([10])
    model = markov_model(uniform_codes(100, 8), order=1)
    with pytest.raises(NotImplementedError):
        model.log_probs_with_background(read, length, MUTATED)
    with pytest.raises(NotImplementedError, match="which counts are a file's"):
        model.log_probs_with_background(read, length, LOW_ORDER, np.array([0]))


@pytest.mark.parametrize("order", [-1, MAX_ORDER + 1, 1.5, None])
def test_order_out_of_range(order: object) -> None:
    with pytest.raises(ConfigError, match=f"order must be an integer from 0 to {MAX_ORDER}"):
        MarkovModel.from_config({"order": order})


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({}, "table"),
        ({"table": np.zeros(20, np.uint8), "other": np.zeros(1)}, "other"),
        ({"table": np.zeros(20, np.float32)}, "float32"),
        ({"table": np.zeros(84, np.uint8)}, "of shape"),
    ],
)
def test_weights_that_do_not_fit(weights: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(RuntimeError, match=says):
        MarkovModel.from_weights({"order": 1}, weights)
