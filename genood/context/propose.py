"""Which places of the reference the contexts of a read propose.

The work goes in steps, each a loop over all contexts of the read: hash them and ask for their buckets,
which the memory brings many at a time; tell which buckets hold something for them; gather the places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate, compiled_to_vectors
from genood.context.genes import PADDING
from genood.context.hashing import (
    AA_CONTEXT,
    BUCKET_BYTES,
    BUCKET_SLOTS,
    NUC_CONTEXT,
    NUM_PROBES,
    bucket_of,
    check_of,
    hash_of,
    is_sampled,
)
from genood.context.instructions import equal_quarters, prefetch, signed, trailing_zeros

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint64]


class Frames(NamedTuple):
    """Room for the translated contexts of a read.

    Attributes
    ----------
    pairs
        uint8 (L,): see `_pair_codons`.
    hashed, kept
        uint64 and uint8, shape (2, L), a row for each strand: see `_hash_frames`.
    """

    pairs: Bytes
    hashed: Hashes
    kept: Bytes


@compiled_to_allocate
def make_frames(longest: int) -> Frames:
    """Room for reads of at most `longest` bases."""
    return Frames(
        np.empty(longest, dtype=np.uint8),
        np.empty((2, longest), dtype=np.uint64),
        np.empty((2, longest), dtype=np.uint8),
    )


_WORDS = BUCKET_BYTES // 8
"""uint64 words of a bucket."""
_LOWEST = np.uint64(0x1111111111)
"""The lowest bits of the groups of a context."""
_SLOTS = (1 << BUCKET_SLOTS) - 1
_LAST_CHECK = np.uint64(0xFFFF0000)
"""In the third word of a bucket, which holds two: set only where the bucket is full."""


@compiled
def ask(
    read: Bytes,
    groups: Bytes,
    frames: Frames,
    nuc: Words,
    nuc_sampling: int,
    aa: Words,
    aa_sampling: int,
    hashes: Hashes,
    ends: Ints,
) -> tuple[int, int]:
    """Hash the contexts of a read and ask for their buckets; how many nucleotide and translated ones.

    Parameters
    ----------
    read, groups
        uint8 (L,), and its amino acid groups as `genood.context.follow.translate` gives them.
    frames
        Room.
    nuc, nuc_sampling, aa, aa_sampling
        See `genood.context.tables.Tables`; the tables as uint64.
    hashes, ends
        Receive the contexts, a row each of both kinds, uint64 and int64, shape (2, more than 2 L). Of
        the end, twice the last base, plus 1 if the read holds the context's reverse complement.
    """
    num_nucleotides = _hash_nucleotides(read, nuc_sampling, hashes[0], ends[0])
    _ask_for(nuc, hashes[0], num_nucleotides)
    num_translated = _hash_translated(read, groups, aa_sampling, frames, hashes[1], ends[1])
    _ask_for(aa, hashes[1], num_translated)
    return num_nucleotides, num_translated


@compiled
def propose(
    num_nucleotides: int,
    num_translated: int,
    hashes: Hashes,
    ends: Ints,
    reference: Bytes,
    nuc: Words,
    aa: Words,
    places: Ints,
) -> int:
    """Places for the read of the last `ask`, by the last base of the context.

    Parameters
    ----------
    num_nucleotides, num_translated, hashes, ends
        What `ask` gave; not left as it was.
    reference, nuc, aa
        See `genood.context.tables.Tables`; the tables as uint64.
    places
        Receives rows (last base of the context in the read; its place in the reference; direction, 1
        or -1), int64 (P, 3); more than P are dropped.

    Returns
    -------
    num_places
        Rows that were written.
    """
    num_nucleotides = _keep_found(nuc, hashes[0], ends[0], num_nucleotides)
    num_translated = _keep_found(aa, hashes[1], ends[1], num_translated)
    num_places = i = j = 0
    while i < num_nucleotides or j < num_translated:
        if j == num_translated or (i < num_nucleotides and ends[0, i] >> 1 <= ends[1, j] >> 1):
            num_places = _gather(nuc, hashes[0, i], ends[0, i], NUC_CONTEXT, places, num_places)
            i += 1
        else:
            num_places = _gather(aa, hashes[1, j], ends[1, j], 3 * AA_CONTEXT, places, num_places)
            j += 1
    for i in range(num_places):
        place = places[i, 1]
        if place < PADDING or place >= len(reference) - PADDING:
            raise IndexError("the index of contexts names a place outside of the reference")
        # The bases before it are compared first.
        prefetch(reference, place - 31)
        prefetch(reference, place + 31)
    return num_places


@compiled
def _hash_nucleotides(read: Bytes, sampling: int, hashes: Hashes, ends: Ints) -> int:
    """The contexts of bases that are sampled, in the spelling that sorts first; how many."""
    mask = (np.uint64(1) << np.uint64(2 * NUC_CONTEXT)) - np.uint64(1)
    top = np.uint64(2 * (NUC_CONTEXT - 1))
    forward = np.uint64(0)
    backward = np.uint64(0)
    num_known = 0
    number = 0
    for t in range(len(read)):
        num_known = num_known + 1 if read[t] < 4 else 0
        base = np.uint64(read[t] & 3)
        forward = ((forward << np.uint64(2)) | base) & mask
        backward = (backward >> np.uint64(2)) | ((np.uint64(3) - base) << top)
        hashed = hash_of(min(forward, backward))
        # Always written, and kept by counting: a branch could not be foreseen.
        hashes[number] = hashed
        ends[number] = 2 * t + signed(forward > backward)
        number += signed(is_sampled(hashed, sampling) & (num_known >= NUC_CONTEXT))
    return number


@compiled
def _hash_translated(
    read: Bytes, groups: Bytes, sampling: int, frames: Frames, hashes: Hashes, ends: Ints
) -> int:
    """The contexts of amino acids that are sampled, of all six frames; how many.

    Those with a stop codon are left out, as the reference has none.
    """
    pairs, hashed, kept = frames
    for strand in range(2):
        _pair_codons(groups[strand], strand, pairs[: len(read)])
        _hash_frames(pairs[: len(read)], strand, sampling, hashed[strand], kept[strand])
    number = 0
    unknown = -1
    for t in range(len(read)):
        unknown = t if read[t] > 3 else unknown
        whole = t - unknown >= 3 * AA_CONTEXT
        for strand in range(2):
            hashes[number] = hashed[strand, t]
            ends[number] = 2 * t + strand
            number += signed(whole & (kept[strand, t] != 0))
    return number


@compiled_to_vectors
def _pair_codons(groups: Bytes, strand: int, pairs: Bytes) -> None:
    """The groups of the codon that ends at each base and of the one before, 4 bits each.

    The codon that comes later in the gene, whose strand is 0 or 1 as in `translate`, is the lower one.
    """
    late, early = (np.uint8(0), np.uint8(4)) if strand == 0 else (np.uint8(4), np.uint8(0))
    for i in range(3, len(groups)):
        at = np.uint64(i)
        pairs[at] = (groups[at] << late) | (groups[at - np.uint64(3)] << early)


@compiled_to_vectors
def _hash_frames(pairs: Bytes, strand: int, sampling: int, hashed: Hashes, kept: Bytes) -> None:
    """Hashes of the contexts of one strand that end at each base, and which are sampled and have no stop."""
    sampled = (np.uint64(1) << np.uint64(sampling)) - np.uint64(1)
    last = AA_CONTEXT // 2 - 1
    for i in range(3 * AA_CONTEXT - 1, len(pairs)):
        at = np.uint64(i)
        key = np.uint64(0)
        for k in range(AA_CONTEXT // 2):
            place = k if strand == 0 else last - k
            key |= np.uint64(pairs[at - np.uint64(6 * k)]) << np.uint64(8 * place)
        # The lowest bit of each four tells whether all are set, as in a stop's group alone.
        stops = key & (key >> np.uint64(1))
        stops &= stops >> np.uint64(2)
        value = hash_of(key)
        hashed[at] = value
        kept[at] = np.uint8(((stops & _LOWEST) | (value & sampled)) == np.uint64(0))


@compiled
def _ask_for(table: Words, hashes: Hashes, number: int) -> None:
    """Have the buckets of contexts brought into the cache."""
    buckets = len(table) // _WORDS
    for i in range(number):
        prefetch(table, bucket_of(hashes[i], buckets) * _WORDS)


@compiled
def _matches(table: Words, at: int, check: np.uint16) -> int:
    """Bits of the slots of a bucket that hold a check; its ten checks come first."""
    return equal_quarters(table, at, check) & _SLOTS


@compiled
def _keep_found(table: Words, hashes: Hashes, ends: Ints, number: int) -> int:
    """Keep the contexts whose bucket may hold them, or is full; how many."""
    buckets = len(table) // _WORDS
    kept = 0
    for i in range(number):
        hashed = hashes[i]
        base = bucket_of(hashed, buckets) * _WORDS
        hashes[kept] = hashed
        ends[kept] = ends[i]
        is_full = table[base + 2] & _LAST_CHECK != np.uint64(0)
        kept += signed((_matches(table, base, check_of(hashed)) != 0) | is_full)
        # The next bucket, or once more this one.
        prefetch(table, min(base + _WORDS * signed(is_full), len(table) - 1))
    return kept


@compiled
def _gather(table: Words, hashed: np.uint64, end: int, span: int, places: Ints, num_places: int) -> int:
    """Add the places of a context of `span` bases; how many there are then."""
    buckets = len(table) // _WORDS
    check = check_of(hashed)
    bucket = bucket_of(hashed, buckets)
    # Where the read holds the reverse complement, its last base pairs with the context's first.
    shift = span - 1 if end & 1 else 0
    for _ in range(NUM_PROBES):
        base = bucket * _WORDS
        found = _matches(table, base, check)
        while found != 0 and num_places < len(places):
            half = BUCKET_SLOTS // 2 + trailing_zeros(found)
            found &= found - 1
            entry = signed(table[base + (half >> 1)] >> np.uint64(32 * (half & 1))) & 0xFFFFFFFF
            places[num_places, 0] = end >> 1
            places[num_places, 1] = (entry >> 1) + (shift if entry & 1 else -shift)
            places[num_places, 2] = 1 if (entry & 1) == (end & 1) else -1
            num_places += 1
        if (table[base + 2] & _LAST_CHECK) == np.uint64(0):
            break
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return num_places
