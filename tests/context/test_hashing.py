"""The hashed tables of contexts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from toys import uniform_codes

from genood.context.follow import translate
from genood.context.genes import GROUPS, annotate
from genood.context.hashing import (
    BUCKET_SLOTS,
    BUCKET_WORDS,
    MAX_LOAD,
    Buckets,
    blocks_of,
    bucket_of,
    check_of,
    empty_table,
    hash_of,
    index_nucleotides,
    index_translated,
    load,
    num_buckets,
)
from genood.context.propose import ask, make_frames, propose
from genood.sequence import Codes, reverse_complement

NO_TABLE = np.empty(0, dtype=np.uint16)
Place = tuple[int, int, int]


@dataclass
class Reference:
    """Annotated segments, by default each of a class of its own."""

    segments: list[Codes]
    labels: list[int]

    def __post_init__(self) -> None:
        self.lengths = np.array([len(segment) for segment in self.segments], dtype=np.int64)
        starts = np.cumsum(self.lengths) - self.lengths
        self.reference, self.offsets = annotate(np.concatenate(self.segments), starts, self.lengths)
        blocks = blocks_of(self.offsets, len(self.reference))
        self.arguments = (
            self.reference,
            self.offsets,
            blocks,
            self.lengths,
            np.array(self.labels, dtype=np.int64),
        )

    def nucleotides(self, sampling: int = 0, buckets: int | None = None) -> tuple[Buckets, int]:
        """The table, and how many contexts found no room in it."""
        table = empty_table(len(self.reference))
        if buckets is not None:
            table = np.zeros(buckets * BUCKET_WORDS, dtype=np.uint16)
        return table, index_nucleotides(*self.arguments, sampling, table)


def random_reference(num_bases: int, seed: int) -> Reference:
    return Reference([uniform_codes(num_bases, seed)], [0])


def find(read: Codes, table: Buckets, sampling: int = 0) -> list[Place]:
    """Places of the nucleotide contexts of a read: last base, place in the reference, direction."""
    hashes = np.empty((2, 2 * len(read) + 1), dtype=np.uint64)
    ends = np.empty((2, 2 * len(read) + 1), dtype=np.int64)
    places = np.empty((8 * len(read), 3), dtype=np.int64)
    # A translated context is sampled out: 2^-60 of them would be kept.
    # Of the reference it needs to be there only.
    reference = np.zeros(60_000, dtype=np.uint8)
    nuc, aa = table.view(np.uint64), empty_table(0).view(np.uint64)
    groups = np.empty((2, len(read)), dtype=np.uint8)
    translate(read, groups)
    numbers = ask(read, groups, make_frames(len(read)), nuc, sampling, aa, 60, hashes, ends)
    number = propose(*numbers, hashes, ends, reference, nuc, aa, places)
    return [(t, place, direction) for t, place, direction in places[:number].tolist()]


def canonical_keys(codes: Codes) -> npt.NDArray[np.uint64]:
    """The contexts of a sequence by their spelling that sorts first, as numbers to base 4."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, 16).astype(np.uint64)
    powers = np.uint64(4) ** np.arange(15, -1, -1, dtype=np.uint64)
    return np.minimum(windows @ powers, (np.uint64(3) - windows) @ powers[::-1])


def test_contexts_are_found_where_they_stand() -> None:
    codes = uniform_codes(20_000, 1)
    table, lost = random_reference(20_000, 1).nucleotides()
    assert lost == 0
    read = codes[5000:5100]
    expected = [(t, 32 + 5000 + t, 1) for t in range(15, 100)]
    assert set(find(read, table)) >= set(expected)
    assert len(find(read, table)) <= len(expected) + 1
    backwards = [(t, 32 + 5099 - t, -1) for t in range(15, 100)]
    assert set(find(reverse_complement(read), table)) >= set(backwards)
    assert len(find(reverse_complement(read), table)) <= len(backwards) + 1


def test_every_context_is_found() -> None:
    codes = uniform_codes(20_000, 2)
    table, _ = random_reference(20_000, 2).nucleotides()
    forward = {t for t, place, direction in find(codes, table) if (place, direction) == (32 + t, 1)}
    assert forward == set(range(15, 20_000))
    backward = find(reverse_complement(codes), table)
    reversed_ends = {t for t, place, direction in backward if (place, direction) == (32 + 19_999 - t, -1)}
    keys = canonical_keys(reverse_complement(codes))
    windows = np.lib.stride_tricks.sliding_window_view(reverse_complement(codes), 16)
    palindromes = {15 + i for i in range(len(keys)) if (windows[i] == 3 - windows[i][::-1]).all()}
    assert reversed_ends == set(range(15, 20_000)) - palindromes


def test_unknown_bases_are_in_no_context() -> None:
    codes = uniform_codes(2000, 3)
    table, _ = random_reference(2000, 3).nucleotides()
    read = codes[100:150].copy()
    read[20] = 4
    assert [t for t, _, _ in find(read, table)] == [*range(15, 20), *range(36, 50)]


def test_places_by_class_and_by_context() -> None:
    context = uniform_codes(16, 4)
    around = [uniform_codes(40, 100 + i) for i in range(30)]
    segments = [np.concatenate([codes[:20], context, codes[20:]]) for codes in around]
    by_class = Reference(segments[:5], [0, 0, 0, 1, 2])
    ends = (by_class.offsets + 35).tolist()
    assert find(context, by_class.nucleotides()[0]) == [(15, ends[i], 1) for i in (0, 1, 3, 4)]
    many = Reference(segments, list(range(30)))
    table, lost = many.nucleotides()
    assert [place for _, place, _ in find(context, table)] == (many.offsets[:8] + 35).tolist()
    assert lost == 0


@pytest.mark.parametrize("sampling", [1, 2, 4])
def test_sampling_keeps_its_share(sampling: int) -> None:
    reference = random_reference(50_000, 5)
    every = index_nucleotides(*reference.arguments, 0, NO_TABLE)
    assert every == 50_000 - 15
    share = 2.0**-sampling
    kept = index_nucleotides(*reference.arguments, sampling, NO_TABLE)
    assert kept == pytest.approx(every * share, abs=4 * np.sqrt(every * share * (1 - share)))
    translated = index_translated(*reference.arguments, GROUPS, 0, NO_TABLE)
    kept = index_translated(*reference.arguments, GROUPS, sampling, NO_TABLE)
    assert kept == pytest.approx(translated * share, abs=5 * np.sqrt(translated * share * (1 - share)))


def test_sampled_contexts_are_found_on_both_strands() -> None:
    codes = uniform_codes(20_000, 6)
    table, _ = random_reference(20_000, 6).nucleotides(sampling=2)
    forward = {place for t, place, direction in find(codes, table, 2) if (place, direction) == (32 + t, 1)}
    assert len(forward) == pytest.approx(5000, abs=4 * np.sqrt(5000))
    backward = find(reverse_complement(codes), table, 2)
    ends = {place + 15 for t, place, direction in backward if (place, direction) == (32 + 19_999 - t, -1)}
    # A palindrome is found in one direction only.
    assert len(forward ^ ends) < 5


def test_load() -> None:
    table, _ = random_reference(6000 + 15, 7).nucleotides(buckets=1000)
    assert load(table) == pytest.approx(0.6, abs=1e-3)
    assert load(empty_table(100)) == 0.0
    assert len(empty_table(100)) == num_buckets(100) * BUCKET_WORDS


@pytest.mark.parametrize("number", [0, 1, 10, 1000, 123_456])
def test_as_few_buckets_as_the_load_allows(number: int) -> None:
    slots = 10 * num_buckets(number)
    assert number <= slots * MAX_LOAD < number + 10
    assert slots >= 10


@pytest.mark.parametrize("num_contexts", [1, 60, 1000])
def test_overflow_is_counted(num_contexts: int) -> None:
    table, lost = random_reference(num_contexts + 15, 8).nucleotides(buckets=8)
    used = round(load(table) * 80)
    assert used + lost == num_contexts
    assert used == min(num_contexts, 80)


def test_false_matches_are_as_rare_as_the_checks_say() -> None:
    """At the highest load, without the foreign contexts that are in the reference by chance."""
    codes, foreign = uniform_codes(30_000, 9), uniform_codes(1_000_000, 10)
    table, _ = random_reference(30_000, 9).nucleotides()
    assert load(table) == pytest.approx(MAX_LOAD, abs=0.01)
    known = np.isin(canonical_keys(foreign), canonical_keys(codes))
    false = [place for place in find(foreign, table) if not known[place[0] - 15]]
    limit = len(known) * BUCKET_SLOTS * 2.0**-16
    assert 0.5 * limit < len(false) < limit


def test_hash_by_hand() -> None:
    """The finaliser of MurmurHash3 in Python's integers."""

    def reference(key: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            key = (key ^ key >> 33) * factor % 2**64
        return key ^ key >> 33

    for key in (0, 1, 12345, 2**32 - 1, 2**40 - 1, 2**64 - 1):
        hashed = reference(key)
        assert int(hash_of(np.uint64(key))) == hashed
        assert int(check_of(np.uint64(hashed))) == max(1, hashed >> 8 & 0xFFFF)
        assert int(bucket_of(np.uint64(hashed), 1000)) == (hashed >> 32) * 1000 // 2**32


def translated_contexts(reference: Codes) -> list[list[int]]:
    """Runs of ten codons on end, each with all three places, on either strand: their groups."""
    codes, places = reference & 3, reference >> 2
    found = []
    for order, complement in (([1, 2, 3], False), ([6, 5, 4], True)):
        for start in range(len(reference) - 29):
            if places[start : start + 30].tolist() == order * 10:
                context = codes[start : start + 30]
                spelled = reverse_complement(context) if complement else context
                found.append([int(GROUPS[16 * a + 4 * b + c]) for a, b, c in spelled.reshape(10, 3).tolist()])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_translated_contexts_are_ten_codons_on_end(seed: int) -> None:
    reference = random_reference(30_000, 20 + seed)
    expected = len(translated_contexts(reference.reference))
    assert expected > 1000
    assert index_translated(*reference.arguments, GROUPS, 0, NO_TABLE) == expected
