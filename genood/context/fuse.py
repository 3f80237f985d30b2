"""A set of keys in nine bits each, which now and then takes a foreign key for one of its own.

A *binary fuse filter*: a key has three places in an array of bytes, and belongs to the set if the bytes
there, combined by exclusive or, are the key's fingerprint. A foreign key is taken for one of the set once
in 256 times.

Source: Graf and Lemire 2022, "Binary Fuse Filters: Fast and Smaller Than Xor Filters".
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate
from genood.context.hashing import hash_of
from genood.context.instructions import prefetch, signed

_MAX_SEGMENT = 1 << 18
_MAX_SEEDS = 100
"""A seed serves nearly always; that so many do not means that keys are repeated."""

Bytes = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]


def segment_length(num_keys: int) -> int:
    """Bytes of a segment, a power of 2: a key's three places lie in neighbouring segments."""
    return min(_MAX_SEGMENT, 1 << math.floor(math.log(max(num_keys, 2)) / math.log(3.33) + 2.25))


def size_of(num_keys: int) -> int:
    """Bytes of the filter of so many keys."""
    segment = segment_length(num_keys)
    factor = max(1.125, 0.875 + 0.25 * math.log(1e6) / math.log(max(num_keys, 2)))
    return max(3, math.ceil(num_keys * factor / segment)) * segment


def most_keys(num_bytes: int) -> int:
    """The most keys whose filter takes no more than so many bytes."""
    few, many = 0, max(num_bytes, 1)
    while few + 1 < many:
        middle = (few + many) // 2
        few, many = (middle, many) if size_of(middle) <= num_bytes else (few, middle)
    return few


def make_filter(keys: Keys) -> tuple[Bytes, int]:
    """The filter of a set of keys.

    Parameters
    ----------
    keys
        uint64, all different.

    Returns
    -------
    table, seed
        uint8, shape (`size_of(len(keys))`,), and what it takes besides to ask it.
    """
    segment, size = segment_length(len(keys)), size_of(len(keys))
    for seed in range(_MAX_SEEDS):
        table = np.zeros(size, dtype=np.uint8)
        if _fill(keys, seed, segment, table):
            return table, seed
    raise ValueError("keys of a filter are repeated")


@compiled
def _places(hashed: np.uint64, segment: int, size: int) -> tuple[int, int, int]:
    """The three places of a key."""
    mask = np.uint64(segment - 1)
    first = signed(((hashed >> np.uint64(32)) * np.uint64(size - 2 * segment)) >> np.uint64(32))
    second = (first + segment) ^ signed((hashed >> np.uint64(18)) & mask)
    third = (first + 2 * segment) ^ signed(hashed & mask)
    return first, second, third


@compiled
def _fingerprint(hashed: np.uint64) -> np.uint8:
    return np.uint8((hashed ^ (hashed >> np.uint64(32))) & np.uint64(0xFF))


@compiled
def seeded(key: np.uint64, seed: int) -> np.uint64:
    """The hash of a key in the filter of a seed."""
    return hash_of(key + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15))  # that of 0 would be 0


@compiled
def fetch(table: Bytes, segment: int, hashed: np.uint64) -> None:
    """Ask the memory for what tells whether a key of this `seeded` hash is of the set."""
    a, b, c = _places(hashed, segment, len(table))
    prefetch(table, a)
    prefetch(table, b)
    prefetch(table, c)


@compiled
def holds(table: Bytes, segment: int, hashed: np.uint64) -> bool:
    """Whether a key of this `seeded` hash is of the set, as far as the filter can tell."""
    a, b, c = _places(hashed, segment, len(table))
    return (table[a] ^ table[b] ^ table[c]) == _fingerprint(hashed)


@compiled_to_allocate
def _fill(keys: Keys, seed: int, segment: int, table: Bytes) -> bool:
    """Fill a table of zeros; False if the seed does not serve.

    A place that one key alone has is set last, for that key; without the key, others are alone.
    """
    size = len(table)
    number = np.zeros(size, dtype=np.int32)
    combined = np.zeros(size, dtype=np.uint64)
    for key in keys:
        hashed = seeded(key, seed)
        for place in _places(hashed, segment, size):
            number[place] += 1
            combined[place] ^= hashed
    alone = np.empty(size, dtype=np.int64)
    waiting = 0
    for place in range(size):
        if number[place] == 1:
            alone[waiting] = place
            waiting += 1
    order = np.empty(len(keys), dtype=np.uint64)
    last = np.empty(len(keys), dtype=np.int64)
    done = 0
    while waiting > 0:
        waiting -= 1
        mine = alone[waiting]
        if number[mine] != 1:
            continue
        hashed = combined[mine]
        order[done] = hashed
        last[done] = mine
        done += 1
        for place in _places(hashed, segment, size):
            number[place] -= 1
            combined[place] ^= hashed
            if number[place] == 1:
                alone[waiting] = place
                waiting += 1
    if done < len(keys):
        return False
    for k in range(done - 1, -1, -1):
        value = _fingerprint(order[k])
        for place in _places(order[k], segment, size):
            value ^= table[place]
        table[last[k]] = value
    return True
