"""Which reads of a stream are taken: long enough ones, a sample, the first so many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genood.errors import ConfigError
from genood.intake.pairs import cuts_pair, fragment_of, starts_of_pairs
from genood.readers import ReadBlock

TOO_SHORT = "shorter than --min-length"
NOT_SAMPLED = "not sampled"


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which reads are taken. Of a pair, both are or none.

    Attributes
    ----------
    min_length
        Bases that a read needs, and each of its pair.
    max_reads
        So many at most, after which the rest is not read.
    sample_fraction
        Share of the fragments that is taken, by a hash of their names: neither the order of the reads
        nor the format of the files matters.
    seed
        Of that hash.
    """

    min_length: int = 1
    max_reads: int | None = None
    sample_fraction: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_length < 0:
            raise ConfigError(f"min_length must not be negative, not {self.min_length}")
        if self.max_reads is not None and self.max_reads < 1:
            raise ConfigError(f"max_reads must be at least 1, not {self.max_reads}")
        if not 0 < self.sample_fraction <= 1:
            raise ConfigError(f"sample_fraction must lie above 0 and up to 1, not {self.sample_fraction}")


def selected(
    blocks: Iterable[ReadBlock], config: SelectionConfig, *, paired: bool, skipped: Counter[str]
) -> Iterator[ReadBlock]:
    """The reads that are taken, in order.

    Parameters
    ----------
    blocks
        All reads; with `paired` no block cuts a pair, nor does one that comes out.
    config
        Which of them.
    paired
        Whether mates next to each other are taken or left together.
    skipped
        Where to count those left out, by reason.
    """
    num_left = config.max_reads
    for block in blocks:
        if config.sample_fraction < 1:
            block = _kept(block, _in_sample(block.names, config), NOT_SAMPLED, paired, skipped)
        if config.min_length > 1:
            block = _kept(block, block.lengths >= config.min_length, TOO_SHORT, paired, skipped)
        if num_left is not None and len(block.names) >= num_left:
            block = block.part(0, _whole(block, num_left) if paired else num_left)
            if not block.is_empty:
                yield block
            return
        if not block.is_empty:
            yield block
        if num_left is not None:
            num_left -= len(block.names)


def _kept(
    block: ReadBlock, is_kept: npt.NDArray[np.bool_], reason: str, paired: bool, skipped: Counter[str]
) -> ReadBlock:
    if paired:
        first = starts_of_pairs(block.names, block.mates)
        is_kept[first] = is_kept[first + 1] = is_kept[first] & is_kept[first + 1]
    if is_kept.all():
        return block
    skipped[reason] += int((~is_kept).sum())
    return block.where(is_kept)


def _in_sample(names: Sequence[str], config: SelectionConfig) -> npt.NDArray[np.bool_]:
    limit = int(config.sample_fraction * 2**64)
    key = str(config.seed).encode()[:64]

    def is_in(name: str) -> bool:
        digest = hashlib.blake2b(fragment_of(name).encode(), digest_size=8, key=key).digest()
        return int.from_bytes(digest, "big") < limit

    return np.array([is_in(name) for name in names], dtype=np.bool_)


def _whole(block: ReadBlock, number: int) -> int:
    """The number of reads, or one fewer if that cuts a pair."""
    return number - cuts_pair(block.names, block.mates, number)
