"""How often the words of a genome occur, on both strands, against what a Markov chain expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from genood.errors import ConfigError
from genood.sequence import UNKNOWN, Codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Profile = npt.NDArray[np.float32]
"""Centred counts, float32, shape (words,) or, of N genomes, (N, words); see `profile_of`."""

F = TypeVar("F", bound=Callable[..., Any])

MAX_K = 12
MAX_ORDER = 3


@dataclass(frozen=True, kw_only=True)
class WordModel:
    """Which words are counted, and the background that counts are compared with.

    Attributes
    ----------
    k
        Bases of a word, 2 to 12. With each, time and memory grow by a factor of 4.
    order
        Of the Markov chain, 0 to 3 and at most k − 2: one of order k − 1 expects just what is there.
    """

    k: int = 6
    order: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.k <= MAX_K:
            raise ConfigError(f"words must have 2 to {MAX_K} bases, not {self.k}")
        most = min(MAX_ORDER, self.k - 2)
        if not 0 <= self.order <= most:
            raise ConfigError(
                f"the Markov order must be 0 to {most} for words of {self.k} bases, not {self.order}"
            )

    @property
    def profile_size(self) -> int:
        """Numbers in a profile."""
        return len(_canonical(self.k)[0])


def profile_of(records: Iterable[Codes], model: WordModel) -> Profile | None:
    """What sets one genome's words apart from its background: X̃_w of `data_prep.distance`.

    Parameters
    ----------
    records
        Its sequences, uint8. Words do not cross from one into the next; those with an unknown base
        are left out.
    model
        Words and background.

    Returns
    -------
    profile
        float32, shape (words,): a number for each word that is not after its reverse complement in
        the alphabet. Where the two are different words, X̃ of both is the same, and the number is the
        sum: as d2S is made of terms that double when X̃ and Ỹ do, it comes out as over all words.
        None if there is no word.
    """
    counts = np.zeros(4**model.k, dtype=np.int64)
    chain_counts = np.zeros(4 ** (model.order + 1), dtype=np.int64)
    for codes in records:
        _add_words(codes, model.k, counts)
        _add_words(codes, model.order + 1, chain_counts)
    if not counts.any():
        return None
    turned = _reverse_complements(model.k)
    counts += counts[turned]
    chain_counts += chain_counts[_reverse_complements(model.order + 1)]
    probabilities = _word_probabilities(chain_counts, model)
    words, multiplicity = _canonical(model.k)
    expected = counts.sum() * (probabilities[words] + probabilities[turned[words]]) / 2.0
    profile: Profile = ((counts[words] - expected) * multiplicity).astype(np.float32)
    return profile


@lru_cache
def _reverse_complements(k: int) -> npt.NDArray[np.int32]:
    """The number of each word's reverse complement; a word's number has its first base foremost."""
    words = np.arange(4**k, dtype=np.int32)
    turned = np.zeros_like(words)
    for _ in range(k):
        turned = 4 * turned + (3 - words % 4)
        words //= 4
    return turned


@lru_cache
def _canonical(k: int) -> tuple[Ints, npt.NDArray[np.int8]]:
    """Words that are not after their reverse complement, and how many words each stands for, 1 or 2."""
    turned = _reverse_complements(k)
    words = np.flatnonzero(np.arange(4**k) <= turned)
    return words, np.where(turned[words] == words, 1, 2).astype(np.int8)


def _word_probabilities(chain_counts: Ints, model: WordModel) -> Floats:
    """The probability of each word of k bases in the chain, float64, shape (4^k,).

    `chain_counts` are those of words of order + 1 bases.
    """
    transitions = chain_counts.reshape(-1, 4)
    contexts = transitions.sum(axis=1)
    probabilities: Floats = contexts / contexts.sum()
    rates = transitions / np.maximum(contexts, 1)[:, None]
    for _ in range(model.k - model.order):
        # By the last `order` bases; one more base follows.
        probabilities = (probabilities.reshape(-1, len(contexts), 1) * rates).reshape(-1)
    return probabilities


def _count_words(codes: Codes, k: int, counts: Ints) -> None:
    """Add how often each word of k bases occurs; a word's number has its first base foremost."""
    mask = 4**k - 1
    word = 0
    num_known = 0
    for code in codes:
        if code == UNKNOWN:
            num_known = 0
            continue
        word = ((word << 2) | np.int64(code)) & mask
        num_known += 1
        if num_known >= k:
            counts[word] += 1


def compiled(function: F, **options: Any) -> F:
    """Compile a function on its first call, without the GIL, and keep the result where numba finds room.

    Where it finds none, as under a read-only home, each process compiles anew. `options` are those of
    ``numba.njit``.
    """
    try:
        dispatcher: F = numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # no directory that can be written to
        dispatcher = numba.njit(nogil=True, **options)(function)
    return dispatcher


_add_words = compiled(_count_words)
