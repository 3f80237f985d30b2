"""Which places of the reference the contexts of a read propose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.context.compiled import compiled, signed
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

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint64]

_WORDS = BUCKET_BYTES // 8
"""uint64 words of a bucket."""
_EACH = np.uint64(0x0001000100010001)


@compiled
def propose(
    read: Bytes,
    reference: Bytes,
    nuc: Words,
    nuc_sampling: int,
    aa: Words,
    aa_sampling: int,
    groups: Bytes,
    hashes: Hashes,
    places: Ints,
) -> int:
    """Places for a read, by the last base of the context.

    Parameters
    ----------
    read
        uint8 (L,).
    reference, nuc, nuc_sampling, aa, aa_sampling, groups
        See `genood.context.tables.Tables`; the tables as uint64.
    hashes
        Room: uint64 (3, at least 3 L).
    places
        Receives rows (last base of the context in the read; its place in the reference; direction, 1
        or -1), int64 (P, 3); more than P are dropped.

    Returns
    -------
    num_places
        Rows that were written.
    """
    num_hashes = _hash_contexts(read, nuc_sampling, aa_sampling, groups, hashes)
    touched = 0
    for i in range(num_hashes):
        # Into the cache: many at a time take hardly longer than one.
        if hashes[2, i] < 2:
            touched |= _touch(nuc, hashes[0, i])
        else:
            touched |= _touch(aa, hashes[0, i])
    num_places = 0
    for i in range(num_hashes):
        kind = signed(hashes[2, i])
        before = num_places
        if kind < 2:
            span = NUC_CONTEXT
            num_places = _scan(nuc, hashes[0, i], signed(hashes[1, i]), places, num_places)
        else:
            span = 3 * AA_CONTEXT
            num_places = _scan(aa, hashes[0, i], signed(hashes[1, i]), places, num_places)
        for j in range(before, num_places):
            entry = places[j, 1]
            place = entry >> 1
            if kind & 1:
                # The read holds the reverse complement: its last base pairs with the context's first.
                place += span - 1 if entry & 1 else 1 - span
            if place < PADDING or place >= len(reference) - PADDING:
                raise IndexError("the index of contexts names a place outside of the reference")
            touched |= signed(reference[place])
            places[j, 1] = place
            places[j, 2] = 1 if (entry & 1) == (kind & 1) else -1
    # Never so: but the compiler must not drop the loads.
    return num_places if touched >= 0 else 0


@compiled
def _hash_contexts(read: Bytes, nuc_sampling: int, aa_sampling: int, groups: Bytes, hashes: Hashes) -> int:
    """Rows of `hashes`: hash; last base; kind, 0 and 1 nucleotide, 2 and 3 translated.

    Odd kinds are those of which the read holds the reverse complement.
    """
    nuc_mask = (np.uint64(1) << np.uint64(2 * NUC_CONTEXT)) - np.uint64(1)
    nuc_top = np.uint64(2 * (NUC_CONTEXT - 1))
    aa_mask = (np.uint64(1) << np.uint64(4 * AA_CONTEXT)) - np.uint64(1)
    aa_top = np.uint64(4 * (AA_CONTEXT - 1))
    forward = np.uint64(0)
    backward = np.uint64(0)
    sense = np.zeros(3, dtype=np.uint64)
    antisense = np.zeros(3, dtype=np.uint64)
    num_known = 0
    num_hashes = 0
    for t in range(len(read)):
        num_known = num_known + 1 if read[t] < 4 else 0
        base = np.uint64(read[t] & 3)
        forward = ((forward << np.uint64(2)) | base) & nuc_mask
        backward = (backward >> np.uint64(2)) | ((np.uint64(3) - base) << nuc_top)
        if num_known >= NUC_CONTEXT:
            hashed = hash_of(min(forward, backward))
            if is_sampled(hashed, nuc_sampling):
                hashes[0, num_hashes] = hashed
                hashes[1, num_hashes] = np.uint64(t)
                hashes[2, num_hashes] = np.uint64(0 if forward <= backward else 1)
                num_hashes += 1
        if t < 2:
            continue
        a, b, c = signed(read[t - 2] & 3), signed(read[t - 1] & 3), signed(read[t] & 3)
        lane = t % 3
        group = np.uint64(groups[16 * a + 4 * b + c])
        sense[lane] = ((sense[lane] << np.uint64(4)) | group) & aa_mask
        group = np.uint64(groups[63 - (16 * c + 4 * b + a)])
        antisense[lane] = (antisense[lane] >> np.uint64(4)) | (group << aa_top)
        if num_known >= 3 * AA_CONTEXT:
            for strand in range(2):
                hashed = hash_of(sense[lane] if strand == 0 else antisense[lane])
                if is_sampled(hashed, aa_sampling):
                    hashes[0, num_hashes] = hashed
                    hashes[1, num_hashes] = np.uint64(t)
                    hashes[2, num_hashes] = np.uint64(2 + strand)
                    num_hashes += 1
    return num_hashes


@compiled
def _touch(table: Words, hashed: np.uint64) -> int:
    """Load a bucket."""
    return signed(table[bucket_of(hashed, len(table) // _WORDS) * _WORDS] >> np.uint64(1))


@compiled
def _zeros(word: np.uint64) -> np.uint64:
    """Highest bits of the 16-bit parts of a word that are 0, the lowest surely, others maybe."""
    return (word - _EACH) & ~word & (_EACH << np.uint64(15))


@compiled
def _scan(table: Words, hashed: np.uint64, t: int, places: Ints, num_places: int) -> int:
    """Add (t, entry) of a context's slots to `places`; how many there are then.

    The ten checks of a bucket are the first five halves of its words: four are compared at a time.
    """
    buckets = len(table) // _WORDS
    check = check_of(hashed)
    four = np.uint64(check) * _EACH
    bucket = bucket_of(hashed, buckets)
    for _ in range(NUM_PROBES):
        base = bucket * _WORDS
        last_two = table[base + 2]
        matches = _zeros(table[base] ^ four) | _zeros(table[base + 1] ^ four)
        matches |= _zeros((last_two ^ four) | np.uint64(0xFFFFFFFF00000000))
        if matches != np.uint64(0):
            for slot in range(BUCKET_SLOTS):
                there = table[base + (slot >> 2)] >> np.uint64(16 * (slot & 3))
                if (there & np.uint64(0xFFFF)) == np.uint64(check) and num_places < len(places):
                    half = BUCKET_SLOTS // 2 + slot
                    entry = table[base + (half >> 1)] >> np.uint64(32 * (half & 1))
                    places[num_places, 0] = t
                    places[num_places, 1] = signed(entry & np.uint64(0xFFFFFFFF))
                    num_places += 1
        if (last_two & np.uint64(0xFFFF0000)) == np.uint64(0):
            break
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return num_places
