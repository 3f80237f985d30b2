"""Hashed tables of contexts: where in the reference a context stands.

A table is an array of buckets, each one cache line: 10 check values of 16 bits and 10 positions of 32
bits. A context's hash gives its bucket and its check; where the bucket is full, the next one is used,
up to `NUM_PROBES`. A foreign context is taken for a known one if it meets an equal check in its bucket:
with six of ten slots in use, about once in 10,000 times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate
from genood.context.instructions import signed

BUCKET_SLOTS = 10
BUCKET_WORDS = 32
"""uint16 words of a bucket: checks, positions in two halves each, two unused."""
BUCKET_BYTES = 2 * BUCKET_WORDS
MAX_LOAD = 0.6
"""Buckets are so many that at most this part of the slots is used: few buckets overflow."""
NUM_PROBES = 8
PER_CLASS = 2
"""Places of a context that a class may take: a class of many genomes does not crowd out the others."""
PER_CONTEXT = 8
"""Places of a context kept in all."""

NUC_CONTEXT = 16
"""Bases of a nucleotide context."""
AA_CONTEXT = 10
"""Amino acids of a translated context."""

BLOCK_BITS = 12
"""Of positions: where a segment is looked up, to find others from there."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Buckets = npt.NDArray[np.uint16]


def num_buckets(num_contexts: int) -> int:
    """Buckets that hold so many contexts at no more than `MAX_LOAD`."""
    return max(1, int(np.ceil(num_contexts / (BUCKET_SLOTS * MAX_LOAD))))


def empty_table(num_contexts: int) -> Buckets:
    """A table for so many contexts, uint16, shape (buckets · 32,)."""
    return np.zeros(num_buckets(num_contexts) * BUCKET_WORDS, dtype=np.uint16)


def load(table: Buckets) -> float:
    """The part of the slots that is used."""
    slots = table.reshape(-1, BUCKET_WORDS)[:, :BUCKET_SLOTS]
    return float(np.count_nonzero(slots) / slots.size)


@compiled
def hash_of(key: np.uint64) -> np.uint64:
    """A well mixed hash of a 64-bit key (the finaliser of MurmurHash3)."""
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    key ^= key >> np.uint64(33)
    return key


@compiled
def is_sampled(hashed: np.uint64, sampling: int) -> bool:
    """Whether a context is one of those kept, one in 2 to the power of `sampling`."""
    return (hashed & ((np.uint64(1) << np.uint64(sampling)) - np.uint64(1))) == np.uint64(0)


@compiled
def bucket_of(hashed: np.uint64, buckets: int) -> int:
    """Bucket by the upper 32 bits of the hash."""
    return signed(((hashed >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32))


@compiled
def check_of(hashed: np.uint64) -> np.uint16:
    """Check by bits 8 to 23 of the hash; never 0, which marks an empty slot."""
    return np.uint16(max(np.uint64(1), (hashed >> np.uint64(8)) & np.uint64(0xFFFF)))


def blocks_of(offsets: Ints, num_positions: int) -> Ints:
    """The segment at each `BLOCK_BITS`-th power of 2 of positions, or the next one; int64."""
    starts = np.arange(0, num_positions, 1 << BLOCK_BITS)
    return np.maximum(np.searchsorted(offsets, starts, side="right") - 1, 0)


@compiled
def segment_at(offsets: Ints, blocks: Ints, position: int) -> int:
    """The last segment that starts at or before a position of the reference."""
    segment = blocks[position >> BLOCK_BITS]
    while segment + 1 < len(offsets) and offsets[segment + 1] <= position:
        segment += 1
    return signed(segment)


@compiled
def position_at(table: Buckets, bucket: int, slot: int) -> int:
    """What a slot holds: twice the position, plus 1 for the other strand."""
    word = bucket * BUCKET_WORDS + BUCKET_SLOTS + 2 * slot
    return signed(table[word]) | (signed(table[word + 1]) << 16)


@compiled
def insert(
    table: Buckets, hashed: np.uint64, entry: int, label: int, offsets: Ints, blocks: Ints, labels: Ints
) -> bool:
    """Add an entry unless its context has places enough; False if there was no room."""
    buckets = len(table) // BUCKET_WORDS
    check = check_of(hashed)
    bucket = bucket_of(hashed, buckets)
    same = of_class = 0
    for _ in range(NUM_PROBES):
        base = bucket * BUCKET_WORDS
        for slot in range(BUCKET_SLOTS):
            there = table[base + slot]
            if there == 0:
                table[base + slot] = check
                table[base + BUCKET_SLOTS + 2 * slot] = np.uint16(entry & 0xFFFF)
                table[base + BUCKET_SLOTS + 2 * slot + 1] = np.uint16((entry >> 16) & 0xFFFF)
                return True
            if there == check:
                same += 1
                if labels[segment_at(offsets, blocks, position_at(table, bucket, slot) >> 1)] == label:
                    of_class += 1
                if same >= PER_CONTEXT or of_class >= PER_CLASS:
                    return True
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return False


@compiled
def index_nucleotides(
    reference: Bytes, offsets: Ints, blocks: Ints, lengths: Ints, labels: Ints, sampling: int, table: Buckets
) -> int:
    """Enter the contexts of `NUC_CONTEXT` bases of both strands; how many found no room.

    An entry is the context's last base on the strand whose spelling sorts first, and that strand.
    With an empty table, only count the contexts that would be entered.
    """
    top = np.uint64(2 * (NUC_CONTEXT - 1))
    mask = (np.uint64(1) << np.uint64(2 * NUC_CONTEXT)) - np.uint64(1)
    count = 0
    for s in range(len(offsets)):
        forward = np.uint64(0)
        backward = np.uint64(0)
        for i in range(lengths[s]):
            base = np.uint64(reference[offsets[s] + i] & 3)
            forward = ((forward << np.uint64(2)) | base) & mask
            backward = (backward >> np.uint64(2)) | ((np.uint64(3) - base) << top)
            if i < NUC_CONTEXT - 1:
                continue
            hashed = hash_of(min(forward, backward))
            if not is_sampled(hashed, sampling):
                continue
            end = offsets[s] + i
            entry = 2 * end if forward <= backward else 2 * (end - NUC_CONTEXT + 1) + 1
            if len(table) == 0 or not insert(table, hashed, entry, labels[s], offsets, blocks, labels):
                count += 1
    return count


@compiled_to_allocate
def index_translated(
    reference: Bytes,
    offsets: Ints,
    blocks: Ints,
    lengths: Ints,
    labels: Ints,
    groups: Bytes,
    sampling: int,
    table: Buckets,
) -> int:
    """Enter the contexts of `AA_CONTEXT` amino acid groups of open reading frames; how many found no room.

    An entry is the last base of the last codon, in the direction of the gene, and the gene's strand.
    With an empty table, only count the contexts that would be entered.
    """
    mask = (np.uint64(1) << np.uint64(4 * AA_CONTEXT)) - np.uint64(1)
    top = np.uint64(4 * (AA_CONTEXT - 1))
    count = 0
    keys = np.zeros(6, dtype=np.uint64)
    runs = np.zeros(6, dtype=np.int64)
    for s in range(len(offsets)):
        runs[:] = 0
        for i in range(2, lengths[s]):
            end = offsets[s] + i
            place, first = reference[end] >> 2, reference[end - 2] >> 2
            # One rolling key for each frame and strand; a codon that is not whole breaks it off.
            if place != 3 or first != 1:
                runs[i % 3] = 0
            if place != 4 or first != 6:
                runs[i % 3 + 3] = 0
            if (place != 3 or first != 1) and (place != 4 or first != 6):
                continue
            a = signed(reference[end - 2] & 3)
            b = signed(reference[end - 1] & 3)
            c = signed(reference[end] & 3)
            lane = i % 3 + (3 if place == 4 else 0)
            runs[lane] += 1
            if place == 3:
                group = np.uint64(groups[16 * a + 4 * b + c])
                keys[lane] = ((keys[lane] << np.uint64(4)) | group) & mask
            else:
                group = np.uint64(groups[63 - (16 * c + 4 * b + a)])
                keys[lane] = (keys[lane] >> np.uint64(4)) | (group << top)
            if runs[lane] < AA_CONTEXT:
                continue
            hashed = hash_of(keys[lane])
            if not is_sampled(hashed, sampling):
                continue
            entry = 2 * end if place == 3 else 2 * (end - 3 * AA_CONTEXT + 1) + 1
            if len(table) == 0 or not insert(table, hashed, entry, labels[s], offsets, blocks, labels):
                count += 1
    return count
