"""Which places of the reference the contexts of a read propose.

The work goes in steps, each a loop over all contexts of the read: hash them and ask for their buckets,
which the memory brings many at a time; tell which buckets hold something for them; gather the places.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.context.compiled import compiled, prefetch, signed, trailing_zeros
from genood.context.genes import GROUPS, PADDING, STOP
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

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint64]

_WORDS = BUCKET_BYTES // 8
"""uint64 words of a bucket."""
_EACH = np.uint64(0x0001000100010001)
_LAST_CHECK = np.uint64(0xFFFF0000)
"""In the third word of a bucket, which holds two: set only where the bucket is full."""


@compiled
def ask(
    read: Bytes,
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
    read
        uint8 (L,).
    nuc, nuc_sampling, aa, aa_sampling
        See `genood.context.tables.Tables`; the tables as uint64.
    hashes, ends
        Receive the contexts, a row each of both kinds, uint64 and int64, shape (2, more than 2 L). Of
        the end, twice the last base, plus 1 if the read holds the context's reverse complement.
    """
    num_nucleotides = _hash_nucleotides(read, nuc_sampling, hashes[0], ends[0])
    _ask_for(nuc, hashes[0], num_nucleotides)
    num_translated = _hash_translated(read, aa_sampling, hashes[1], ends[1])
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
def _hash_translated(read: Bytes, sampling: int, hashes: Hashes, ends: Ints) -> int:
    """The contexts of amino acids that are sampled, of all six frames; how many.

    Those with a stop codon are left out, as the reference has none.
    """
    mask = (np.uint64(1) << np.uint64(4 * AA_CONTEXT)) - np.uint64(1)
    top = np.uint64(4 * (AA_CONTEXT - 1))
    sense = np.zeros(3, dtype=np.uint64)
    antisense = np.zeros(3, dtype=np.uint64)
    num_open = np.zeros(3, dtype=np.int64)
    num_open_antisense = np.zeros(3, dtype=np.int64)
    num_known = 0
    number = 0
    codon = 0
    lane = 0
    for t in range(len(read)):
        num_known = num_known + 1 if read[t] < 4 else 0
        codon = ((codon << 2) | signed(read[t] & 3)) & 63
        lane = lane + 1 if lane < 2 else 0
        if t < 2:
            continue
        group = np.uint64(GROUPS[codon])
        sense[lane] = ((sense[lane] << np.uint64(4)) | group) & mask
        num_open[lane] = 0 if group == STOP else num_open[lane] + 1
        hashed = hash_of(sense[lane])
        hashes[number] = hashed
        ends[number] = 2 * t
        known = num_known >= 3 * AA_CONTEXT
        number += signed(is_sampled(hashed, sampling) & known & (num_open[lane] >= AA_CONTEXT))
        # The codon's reverse complement: its bases turned around, each taken from 3.
        group = np.uint64(GROUPS[63 - ((codon & 3) << 4 | (codon & 12) | codon >> 4)])
        antisense[lane] = (antisense[lane] >> np.uint64(4)) | (group << top)
        num_open_antisense[lane] = 0 if group == STOP else num_open_antisense[lane] + 1
        hashed = hash_of(antisense[lane])
        hashes[number] = hashed
        ends[number] = 2 * t + 1
        number += signed(is_sampled(hashed, sampling) & known & (num_open_antisense[lane] >= AA_CONTEXT))
    return number


@compiled
def _ask_for(table: Words, hashes: Hashes, number: int) -> None:
    """Have the buckets of contexts brought into the cache."""
    buckets = len(table) // _WORDS
    for i in range(number):
        prefetch(table, bucket_of(hashes[i], buckets) * _WORDS)


@compiled
def _matches(table: Words, at: int, check: np.uint16, word: int) -> np.uint64:
    """Bits of the slots in word 0, 1 or 2 of a bucket that may hold a check.

    The ten checks of a bucket are the first five halves of its words. Each slot's is the highest of 16
    bits: the lowest set is surely of a slot that does, the others maybe.
    """
    different = table[at] ^ (np.uint64(check) * _EACH)
    if word == 2:
        different |= np.uint64(0xFFFFFFFF00000000)
    return (different - _EACH) & ~different & (_EACH << np.uint64(15))


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
        check = check_of(hashed)
        found = np.uint64(0)
        for word in range(3):
            found |= _matches(table, base + word, check, word)
        full = table[base + 2] & _LAST_CHECK
        kept += signed((found | full) != np.uint64(0))
        # The next bucket, or once more this one.
        prefetch(table, min(base + _WORDS * signed(full != np.uint64(0)), len(table) - 1))
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
        for word in range(3):
            found = signed(_matches(table, base + word, check, word))
            while found != 0:
                slot = 4 * word + (trailing_zeros(found) >> 4)
                found &= found - 1
                there = table[base + word] >> np.uint64(16 * (slot & 3))
                if (there & np.uint64(0xFFFF)) == np.uint64(check) and num_places < len(places):
                    half = BUCKET_SLOTS // 2 + slot
                    entry = signed(table[base + (half >> 1)] >> np.uint64(32 * (half & 1))) & 0xFFFFFFFF
                    places[num_places, 0] = end >> 1
                    places[num_places, 1] = (entry >> 1) + (shift if entry & 1 else -shift)
                    places[num_places, 2] = 1 if (entry & 1) == (end & 1) else -1
                    num_places += 1
        if (table[base + 2] & _LAST_CHECK) == np.uint64(0):
            break
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return num_places
