"""Proposed places against a search for every shared context."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from toys import uniform_codes

from genood.context.follow import translate
from genood.context.genes import GROUPS, annotate
from genood.context.hashing import blocks_of, empty_table, index_nucleotides, index_translated
from genood.context.propose import ask, make_frames, propose
from genood.sequence import Codes, decode, encode, mutate, reverse_complement

Place = tuple[int, int, int]
GENE = uniform_codes(20_000, 1)


class Index:
    """A reference of segments, of one class each, with all of its contexts."""

    def __init__(self, *segments: Codes) -> None:
        lengths = np.array([len(segment) for segment in segments])
        starts = np.cumsum(lengths) - lengths
        self.reference, self.offsets = annotate(np.concatenate(segments), starts, lengths)
        blocks = blocks_of(self.offsets, len(self.reference))
        segment_arguments = (self.reference, self.offsets, blocks, lengths, np.arange(len(segments)))
        self.nuc, self.aa = empty_table(int(lengths.sum())), empty_table(int(lengths.sum()))
        assert index_nucleotides(*segment_arguments, 0, self.nuc) == 0
        assert index_translated(*segment_arguments, GROUPS, 0, self.aa) == 0

    def propose(self, read: Codes, room: int = 10_000) -> list[Place]:
        hashes = np.empty((2, 2 * len(read) + 1), dtype=np.uint64)
        ends = np.empty((2, 2 * len(read) + 1), dtype=np.int64)
        places = np.empty((room, 3), dtype=np.int64)
        nuc, aa = self.nuc.view(np.uint64), self.aa.view(np.uint64)
        groups = np.empty((2, len(read)), dtype=np.uint8)
        translate(read, groups)
        numbers = ask(read, groups, make_frames(len(read)), nuc, 0, aa, 0, hashes, ends)
        number = propose(*numbers, hashes, ends, self.reference, nuc, aa, places)
        return [(t, place, direction) for t, place, direction in places[:number].tolist()]

    def search(self, read: Codes) -> list[Place]:
        """Last base of the context in the read, its place, direction."""
        return sorted([*self._nucleotides(read), *self._translated(read)])

    def _nucleotides(self, read: Codes) -> list[Place]:
        letters = decode(np.where(self.reference < 4 * 7, self.reference & 3, 4).astype(np.uint8))
        ends = defaultdict(list)
        for i in range(15, len(letters)):
            ends[letters[i - 15 : i + 1]].append(i)
        found = []
        text = decode(read)
        for t in range(15, len(text)):
            word = text[t - 15 : t + 1]
            backward = decode(reverse_complement(encode(word)))
            if "N" in word:
                continue
            found += [(t, end, 1) for end in ends[word]]
            # Where a context is its own reverse complement, one direction is kept.
            found += [(t, end - 15, -1) for end in ends[backward] if word != backward]
        return found

    def _translated(self, read: Codes) -> list[Place]:
        """Contexts of genes as tuples of groups, to (first base, direction of the gene)."""
        contexts = defaultdict(list)
        places = self.reference >> 2
        for i in range(len(places) - 29):
            for order, strand in (([1, 2, 3], 1), ([6, 5, 4], -1)):
                if places[i] == order[0] and places[i : i + 30].tolist() == order * 10:
                    contexts[groups_of(self.reference[i : i + 30] & 3, strand)].append((i, strand))
        found = []
        for t in range(29, len(read)):
            window = read[t - 29 : t + 1]
            if window.max() > 3:
                continue
            for strand in (1, -1):
                for i, gene in contexts[groups_of(window, strand)]:
                    found.append((t, i + 29 if strand == gene else i, strand * gene))
        return found


def groups_of(codes: Codes, strand: int) -> tuple[int, ...]:
    spelled = codes if strand == 1 else reverse_complement(codes)
    return tuple(int(GROUPS[16 * a + 4 * b + c]) for a, b, c in spelled.reshape(-1, 3).tolist())


@pytest.fixture(scope="module")
def index() -> Index:
    """Random bases, in which are genes enough; one of the segments is short."""
    return Index(GENE, uniform_codes(40, 2), uniform_codes(5000, 3))


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.15])
@pytest.mark.parametrize("backwards", [False, True])
def test_places_equal_those_of_a_search(index: Index, rate: float, backwards: bool) -> None:
    read = mutate(GENE[4000:6000], rate, 4)
    read = reverse_complement(read) if backwards else read
    expected = index.search(read)
    found = index.propose(read)
    assert [t for t, _, _ in found] == sorted(t for t, _, _ in found)
    # Equal checks by chance, one in some 10,000 contexts, come on top.
    assert set(found) >= set(expected)
    assert len(set(found) - set(expected)) <= 5
    assert {direction for _, _, direction in expected} == {-1 if backwards else 1}


def test_silent_substitutions_leave_the_translated_contexts(index: Index) -> None:
    """All third bases of a stretch of codons replaced by ones that keep the amino acid group."""
    places = index.reference[32 : 32 + len(GENE)] >> 2
    start = next(i for i in range(len(GENE)) if places[i : i + 90].tolist() == [1, 2, 3] * 30)
    read = GENE[start : start + 90].copy()
    for i in range(0, 90, 3):
        a, b, c = read[i : i + 3].tolist()
        same = [x for x in range(4) if x != c and GROUPS[16 * a + 4 * b + x] == GROUPS[16 * a + 4 * b + c]]
        read[i + 2] = same[0] if same else c
    place = 32 + start
    wanted = {(t, place + t, 1) for t in range(29, 90, 3)}
    assert wanted <= set(index.propose(read))
    backwards = {(t, place + 89 - t, -1) for t in range(29, 90, 3)}
    assert backwards <= set(index.propose(reverse_complement(read)))


def test_unknown_bases(index: Index) -> None:
    read = GENE[4000:4300].copy()
    read[[50, 120, 121]] = 4
    expected = set(index.search(read))
    assert expected <= set(index.propose(read))
    assert {t for t, _, _ in expected}.isdisjoint([*range(50, 66), *range(120, 137)])


def test_contexts_do_not_cross_from_one_segment_into_the_next() -> None:
    pair = Index(GENE[:100], GENE[100:200])
    found = {t for t, _, _ in pair.propose(GENE[:200])}
    assert found == {*range(15, 100), *range(115, 200)}


@pytest.mark.parametrize("length", [0, 1, 15])
def test_short_reads(index: Index, length: int) -> None:
    assert index.propose(GENE[:length]) == []


def test_no_more_places_than_there_is_room_for(index: Index) -> None:
    every = index.propose(GENE[:200])
    assert index.propose(GENE[:200], room=7) == every[:7]
