"""Windows of codons, third bases left out: what a sketch keeps of a reference, as many as there is room for.

The first two bases of a codon make a letter of four bits; a window is that of `WINDOW` codons in a row in
the direction of their gene, the first one's letter highest. The *core* is a window without its very first
and very last base. Whether a window is kept is decided by its core: of the windows that differ only in the
base that a read has yet to show, which is the last on the gene's strand and the first on the other, all are
kept or none. So a read asks only for those cores that are kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled
from genood.context.genes import annotate
from genood.context.hashing import hash_of
from genood.context.instructions import signed
from genood.reference.genomes import Genomes

WINDOW = 9
"""Codons. On reads of validation genomes 8 find too many foreign windows; 10 do as well as 9, but find fewer
relatives."""
LETTER = np.uint64(4)
"""Bits of a letter."""
FIRST = LETTER * np.uint64(WINDOW - 1)
"""Where the first codon's letter is."""
MASK = (np.uint64(1) << (LETTER * np.uint64(WINDOW))) - np.uint64(1)
_CORE = MASK >> LETTER
ALL = 1 << 32
"""The threshold that keeps all windows."""
_PROBED = 64
"""Of one window in so many, or in more, the number of all is estimated."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


def kept_windows(genomes: Genomes, most: int) -> tuple[Keys, int]:
    """The windows of a reference that are kept.

    Windows that several classes have are not among them: they tell nothing of what is foreign.

    Parameters
    ----------
    genomes
        The reference; of its genes, those that `annotate` finds.
    most
        Windows to keep.

    Returns
    -------
    keys, threshold
        uint64, sorted: the windows, all whose rank is below the threshold, and no more than `most`.
    """
    probe = ALL // max(_PROBED, int(genomes.lengths.sum()) // max(1, most))
    probed = _windows(genomes, probe)
    threshold = min(ALL, round(1.05 * probe * most / max(1, len(probed))))
    keys = _windows(genomes, threshold) if threshold > probe else probed
    if len(keys) > most:
        ranks = np.empty(len(keys), dtype=np.int64)
        _rank(keys, ranks)
        threshold = int(np.partition(ranks, most)[most])
        keys = keys[ranks < threshold]
    return keys, threshold


def _windows(genomes: Genomes, threshold: int) -> Keys:
    """The windows of one class alone whose rank is below a threshold, sorted."""
    mine: list[Keys] = []
    for label in range(len(genomes.classes)):
        here = genomes.labels == label
        reference, offsets = annotate(genomes.codes, genomes.starts[here], genomes.lengths[here])
        keys = np.empty(0, dtype=np.uint64)
        number = _collect(reference, offsets, genomes.lengths[here], threshold, keys)
        keys = np.empty(number, dtype=np.uint64)
        _collect(reference, offsets, genomes.lengths[here], threshold, keys)
        mine.append(keys[_of_runs(keys)])
    together = np.concatenate(mine)
    return together[_of_runs(together, alone=True)]


def _of_runs(keys: Keys, *, alone: bool = False) -> npt.NDArray[np.bool_]:
    """Sort keys in place; the first of each run of equal ones, or only those that are not repeated."""
    keys.sort()  # np.unique takes many times as long
    differs = np.ones(len(keys) + 1, dtype=np.bool_)
    differs[1:-1] = keys[1:] != keys[:-1]
    return differs[:-1] & differs[1:] if alone else differs[:-1]


@compiled
def rank_of(window: np.uint64) -> int:
    """A number below `ALL` by the core of a window; those of low rank are kept."""
    return signed(hash_of((window >> np.uint64(2)) & _CORE) & np.uint64(0xFFFFFFFF))


@compiled
def _rank(keys: Keys, ranks: Ints) -> None:
    for i in range(len(keys)):
        ranks[i] = rank_of(keys[i])


@compiled
def letter_of(first: int, second: int) -> np.uint64:
    """The letter of a codon's first two bases."""
    return np.uint64(4 * first + second)


@compiled
def _collect(reference: Bytes, offsets: Ints, lengths: Ints, threshold: int, keys: Keys) -> int:
    """Enter the windows whose rank is below a threshold; how many. With no room, only count."""
    count = 0
    for s in range(len(offsets)):
        segment = reference[offsets[s] : offsets[s] + lengths[s]]
        for frame in range(3):
            for reverse in range(2):
                last, first = (4, 6) if reverse else (3, 1)
                window = np.uint64(0)
                run = 0
                for i in range(frame + 2, len(segment), 3):
                    if segment[i] >> 2 != last or segment[i - 2] >> 2 != first:
                        run = 0
                        continue
                    a, b, c = segment[i - 2] & 3, segment[i - 1] & 3, segment[i] & 3
                    if reverse:
                        letter = letter_of(3 - signed(c), 3 - signed(b))
                        window = (window >> LETTER) | (letter << FIRST)
                    else:
                        window = ((window << LETTER) | letter_of(signed(a), signed(b))) & MASK
                    run += 1
                    if run >= WINDOW and rank_of(window) < threshold:
                        if len(keys) > 0:
                            keys[count] = window
                        count += 1
    return count
