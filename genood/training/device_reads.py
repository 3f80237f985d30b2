"""The reads that training draws, drawn where the models are trained: genomes held there, four bases a byte.

All is drawn by `genood.training.draws`, so that the reads, strands and mutations of a step are the same
whether a GPU draws them or a CPU, all at once or in the parts of several processes. They are not those that
`ReadSampler.sample` draws.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from genood.reference.sampling import ReadSampler
from genood.sequence import Codes
from genood.training.draws import below, fractions, key_of, low_below, random_bits

_BASES_A_BYTE = 4
_PACKED_AT_ONCE = 2**26
"""Bases that are packed and sent at a time, a multiple of `_BASES_A_BYTE`."""
_PART_OF_DEVICE = 4
"""Genomes are held on a device if they take one in so many of its bytes at most."""
_RESOLUTION = 2**24
"""Steps of a mutation rate."""
_DIFFERENT = 3
"""Bases that a base can become."""


class CodeStore(Protocol):
    """Genomes to look up, wherever they are."""

    device: torch.device
    """Where what is looked up is wanted, and given."""

    def at(self, places: Tensor) -> Tensor:
        """The codes, uint8, at places in `Genomes.codes`, int64 of any shape."""


class PackedCodes:
    """Genomes on a device, four bases a byte.

    Parameters
    ----------
    codes
        uint8, shape (N,), only 0 to 3, in memory or mapped.
    device
        Where to hold them.
    """

    def __init__(self, codes: Codes, device: torch.device) -> None:
        self.device = device
        self._packed = torch.empty(-(-len(codes) // _BASES_A_BYTE), dtype=torch.uint8, device=device)
        for start in range(0, len(codes), _PACKED_AT_ONCE):
            packed = torch.from_numpy(_packed(codes[start : start + _PACKED_AT_ONCE]))
            first = start // _BASES_A_BYTE
            self._packed[first : first + len(packed)] = packed.to(device)

    def at(self, places: Tensor) -> Tensor:
        """See `CodeStore.at`."""
        bits = ((places & (_BASES_A_BYTE - 1)) << 1).to(torch.uint8)
        return (self._packed[places >> 2] >> bits) & (_BASES_A_BYTE - 1)


class HostCodes:
    """Genomes as they are, in memory or mapped."""

    device = torch.device("cpu")

    def __init__(self, codes: Codes) -> None:
        self._codes = codes

    def at(self, places: Tensor) -> Tensor:
        """See `CodeStore.at`."""
        return torch.from_numpy(self._codes[places.numpy()])


def holds(device: torch.device, num_bases: int) -> bool:
    """Whether a device is a GPU with so much memory that genomes of so many bases are to be held there.

    It goes by the memory that there is, not by what is free, so that it is the same each time.
    """
    if device.type != "cuda":
        return False
    total: int = torch.cuda.get_device_properties(device).total_memory
    return num_bases // _BASES_A_BYTE <= total // _PART_OF_DEVICE


class DrawnReads(NamedTuple):
    """Codes uint8 (B, L) and classes int64 (B,), on a device."""

    codes: Tensor
    labels: Tensor


class DeviceSampler:
    """Draws what `ReadSampler` does, from the same places, with other random numbers.

    A class uniformly, then a position uniformly among its own, then a strand. What read n of a step is
    depends on the genomes, the read length, the sampler's seed, the step and n alone.

    Parameters
    ----------
    sampler
        Where reads can start, and the seed.
    store
        The genomes.
    """

    def __init__(self, sampler: ReadSampler, store: CodeStore) -> None:
        self.device = store.device
        self._store = store
        self._seed = sampler.seed
        self._num_classes = len(sampler.genomes.classes)
        self._places = [torch.from_numpy(array).to(self.device) for array in sampler.places]
        self._offsets = torch.arange(sampler.read_length, device=self.device)
        self._two = torch.arange(2, device=self.device)[:, None]

    def reads(self, step: int, numbers: Tensor, *again: int) -> DrawnReads:
        """Reads of one step by their numbers, int64 (B,); further numbers draw others."""
        key = key_of(*self._seed, step, *again)
        num_of_class, first_of_class, ends, shifts = self._places
        bits, place_bits = random_bits(key, 2 * numbers + self._two)
        labels = below(bits, self._num_classes)
        positions = (fractions(place_bits) * num_of_class[labels]).to(torch.int64) + first_of_class[labels]
        starts = positions + shifts[torch.searchsorted(ends, positions, right=True)]
        is_reverse = (bits & 1).bool()[:, None]
        last = len(self._offsets) - 1
        codes = self._store.at(starts[:, None] + torch.where(is_reverse, last - self._offsets, self._offsets))
        return DrawnReads(torch.where(is_reverse, 3 - codes, codes), labels)


def mutate_on_device(codes: Tensor, rate: float, key: int, numbers: Tensor) -> Tensor:
    """Substitute bases at random by one of the three others, as `genood.sequence.mutate` does.

    Parameters
    ----------
    codes
        uint8, shape (B, L), only 0 to 3.
    rate
        Mutation rate μ, in substitutions per base; in steps of 2**-24.
    key, numbers
        Of `key_of`, and int64 (B,): what a read becomes depends on the key and its number.
    """
    length = codes.shape[1]
    places = numbers[:, None] * length + torch.arange(length, device=codes.device)
    bits = random_bits(key, places)
    is_hit = below(bits, _RESOLUTION) < round(rate * _RESOLUTION)
    other = (codes + 1 + low_below(bits, _DIFFERENT).to(torch.uint8)) & 3
    return torch.where(is_hit, other, codes)


def _packed(codes: Codes) -> Codes:
    """Four codes a byte, the first in the lowest bits; filled up with zeros."""
    padded = np.zeros(-(-len(codes) // _BASES_A_BYTE) * _BASES_A_BYTE, dtype=np.uint8)
    padded[: len(codes)] = codes
    quarters = padded.reshape(-1, _BASES_A_BYTE).T
    return np.ascontiguousarray(quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6)
