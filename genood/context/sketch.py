"""A reference in a few megabytes: a sample of its windows of codons, and dense tables of low orders."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate
from genood.context import dense
from genood.context.classes import mix_classes
from genood.context.fuse import fetch, holds, make_filter, most_keys, seeded, segment_length
from genood.context.genes import GROUPS, STOP
from genood.context.instructions import signed
from genood.context.learn import dense_tables
from genood.context.mixture import BLOCK, Block, make_block, read_tables, softmax
from genood.context.pages import in_large_pages
from genood.context.record import other_strand
from genood.context.rows import Rows, clear_row, sum_row
from genood.context.windows import FIRST, LETTER, MASK, WINDOW, kept_windows, letter_of, rank_of
from genood.errors import ConfigError
from genood.reference.genomes import Genomes
from genood.threads import share

COMPOSITION_ORDER = 6
"""Order of the dense table over all classes, and the highest of those by class: of higher ones reads are
told apart no better."""
_TABLES_SHARE = 4
"""The tables by class take at most one byte in so many."""
VOTE = np.float32(1.0)
"""Nats that the odds of a base gain for each strand on which a window that is kept ends with it."""
_AT_ONCE = 32
"""Windows that a filter is asked for together: their memory fits into a core's first cache."""
_REVERSED = np.array([int(f"{bits:04b}"[::-1], 2) for bits in range(16)], dtype=np.uint8)
"""Four bits in the other order."""
FLATTENING = np.float32(0.15)
"""Weight of the composition of all classes in the background; that of the classes' mixture is the rest."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


class Questions(NamedTuple):
    """What a filter is asked together.

    Attributes
    ----------
    open_windows
        uint64, shape (_AT_ONCE,): windows without the base that the read has at their end, or start.
    places
        int64, shape (_AT_ONCE,): twice the base's place in the read, and 1 more on the other strand.
    hashes
        uint64, shape (4 _AT_ONCE,): those of each window with each base.
    """

    open_windows: npt.NDArray[np.uint64]
    places: Ints
    hashes: npt.NDArray[np.uint64]


@compiled_to_allocate
def make_questions() -> Questions:
    """Room for what is asked."""
    return Questions(
        np.empty(_AT_ONCE, dtype=np.uint64),
        np.empty(_AT_ONCE, dtype=np.int64),
        np.empty(4 * _AT_ONCE, dtype=np.uint64),
    )


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What is kept of a reference.

    Attributes
    ----------
    windows
        uint8: the filter of the windows that are kept, see `genood.context.fuse`.
    num_windows, seed
        How many there are, and what it takes besides to ask the filter.
    threshold
        Windows of a lower rank are kept, see `genood.context.windows`.
    composition
        uint8: the dense table over all classes up to `COMPOSITION_ORDER`, see `genood.context.dense`.
    by_class
        uint8: the dense tables by class, without what only fills up vectors.
    class_order, num_classes
        Order of `by_class`, and its classes.
    """

    windows: Bytes
    num_windows: int
    seed: int
    threshold: int
    composition: Bytes
    by_class: Bytes
    class_order: int
    num_classes: int

    @cached_property
    def _filled_up(self) -> Bytes:
        """The dense tables by class with whole vectors of classes."""
        rows = self.by_class.reshape(-1, self.num_classes)
        filled = np.full((len(rows), dense.stride_of(self.num_classes)), dense.NEVER, dtype=np.uint8)
        filled[:, : self.num_classes] = rows
        return in_large_pages(filled.ravel())

    def score(
        self, codes: Bytes, lengths: Ints, *, each_base: bool = True, num_threads: int = 1
    ) -> tuple[Rows, Rows]:
        """Log-probabilities of each base, and the background's.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.
        each_base
            Whether they are wanted, or only their sums.
        num_threads
            Threads to share the reads among.
        """
        said, of_background = (Rows.of_shape(codes.shape, each_base=each_base) for _ in range(2))
        composition, by_class = self.composition.view(np.uint32), self._filled_up

        def rows(part: slice) -> None:
            _score(
                codes[part],
                lengths[part],
                self.windows,
                self.seed,
                segment_length(self.num_windows),
                self.threshold,
                composition,
                by_class,
                self.class_order,
                self.num_classes,
                dense.stride_of(self.num_classes),
                said.part(part),
                of_background.part(part),
            )

        share(rows, codes.shape, num_threads)
        return said, of_background


def condense(genomes: Genomes, num_bytes: int) -> Sketch:
    """A sketch of a reference that takes at most so many bytes; nothing is drawn at random.

    Raises
    ------
    ConfigError
        They are too few.
    """
    num_classes = len(genomes.classes)
    order = COMPOSITION_ORDER
    while order > 0 and _TABLES_SHARE * num_classes * dense.start_of(order + 1) > num_bytes:
        order -= 1
    tables = num_classes * dense.start_of(order + 1) + dense.start_of(COMPOSITION_ORDER + 1)
    most = most_keys(num_bytes - tables)
    if most < 1:
        raise ConfigError(f"a sketch of {num_classes} classes needs more than {tables:,} bytes")
    keys, threshold = kept_windows(genomes, most)
    logger.info("keeping %s windows, one in %.1f", f"{len(keys):,}", 2**32 / max(1, threshold))
    windows, seed = make_filter(keys)
    composition, by_class = dense_tables(
        genomes.codes,
        genomes.starts,
        genomes.lengths,
        genomes.labels,
        order,
        num_classes,
        COMPOSITION_ORDER,
    )
    compact = by_class.reshape(-1, dense.stride_of(num_classes))[:, :num_classes]
    return Sketch(
        windows=windows,
        num_windows=len(keys),
        seed=seed,
        threshold=threshold,
        composition=composition,
        by_class=np.ascontiguousarray(compact).ravel(),
        class_order=order,
        num_classes=num_classes,
    )


@compiled_to_allocate
def _score(
    codes: Bytes,
    lengths: Ints,
    windows: Bytes,
    seed: int,
    segment: int,
    threshold: int,
    composition: npt.NDArray[np.uint32],
    by_class: Bytes,
    class_order: int,
    num_classes: int,
    stride: int,
    said: Rows,
    of_background: Rows,
) -> None:
    """Do `Sketch.score`."""
    block = make_block()
    logs = np.empty((5, BLOCK), dtype=np.float32)
    posterior, least = np.zeros(stride, dtype=np.float32), np.zeros(stride, dtype=np.float32)
    strands = np.empty((2, codes.shape[1]), dtype=np.uint8)
    asked = make_questions()
    for r in range(len(codes)):
        read = codes[r, : lengths[r]]
        look_up(read, windows, seed, segment, threshold, asked, strands[0], strands[1])
        row = said.log_p[clear_row(said, r)]
        background_row = of_background.log_p[clear_row(of_background, r)]
        history = 0
        for start in range(0, len(read), BLOCK):
            history = read_tables(
                read,
                start,
                history,
                composition,
                COMPOSITION_ORDER,
                by_class,
                class_order,
                stride,
                block.low,
                block.rows,
            )
            mix_classes(read, start, by_class, num_classes, posterior, least, block.rows, block.mixed)
            _mix(read, start, strands, block, logs, row, background_row)
        said.sums[r], of_background.sums[r] = sum_row(row), sum_row(background_row)


@compiled
def _mix(
    read: Bytes, start: int, strands: Bytes, block: Block, logs: Floats, out: Floats, background_out: Floats
) -> None:
    """Log-probabilities of a block from what its tables and the windows say."""
    low, _, mixed, votes, gates = block
    votes[:] = np.float32(0.0)
    gates[0, :], gates[1, :] = FLATTENING, np.float32(1.0) - FLATTENING
    softmax(read, start, low, mixed, votes, gates, logs, background_out)
    gates[0, :], gates[1, :] = np.float32(0.0), np.float32(1.0)
    for i in range(min(BLOCK, len(read) - start)):
        for strand in range(2):
            found = signed(strands[strand, start + i])
            for b in range(4):
                votes[b, i] += VOTE * np.float32((found >> b) & 1)
    softmax(read, start, low, mixed, votes, gates, logs, out)


@compiled
def look_up(
    read: Bytes,
    windows: Bytes,
    seed: int,
    segment: int,
    threshold: int,
    asked: Questions,
    forward: Bytes,
    backward: Bytes,
) -> None:
    """The bases that would end a window that is kept, a bit for each, at each base of a read.

    Parameters
    ----------
    read
        uint8, shape (L,).
    windows, seed, segment, threshold
        The filter, and which windows it holds.
    asked
        Room for what the filter is asked together.
    forward, backward
        Receive the bits, uint8, at least L: of genes on the read's strand, where the base is a codon's
        second, and of those on the other, where it is a codon's first.
    """
    forward[: len(read)] = backward[: len(read)] = np.uint8(0)
    open_windows, places, _ = asked
    number = 0
    ahead, behind = np.uint64(0), np.uint64(0)
    for frame in range(3):
        num_ahead = num_behind = 0
        unknown = -1
        for t in range(frame, len(read), 3):
            for age in range(min(3, t + 1)):
                if read[t - age] > 3 and t - age > unknown:
                    unknown = t - age
            if t < 2:
                continue
            a, b, c = signed(read[t - 2] & 3), signed(read[t - 1] & 3), signed(read[t] & 3)
            known = t - unknown > 3 * WINDOW
            # On the read's strand t is a codon's second base, on the other a codon's first: t - 1 is known,
            # and of the window all but the base at t. What is not asked is written over.
            open_window = ((ahead << LETTER) | letter_of(b, 0)) & MASK
            num_ahead += 1
            ahead = open_window | np.uint64(c)
            open_windows[number], places[number] = open_window, 2 * t
            number += int(known & (num_ahead >= WINDOW) & (rank_of(open_window) < threshold))
            open_window = (behind >> LETTER) | (letter_of(0, 3 - b) << FIRST)
            num_behind += 1
            behind = open_window | (letter_of(3 - c, 0) << FIRST)
            open_windows[number], places[number] = open_window, 2 * t + 1
            number += int(known & (num_behind >= WINDOW) & (rank_of(open_window) < threshold))
            if number > _AT_ONCE - 2:
                _ask(windows, seed, segment, asked, number, forward, backward)
                number = 0
            # A gene has no stop codon within.
            if GROUPS[other_strand(16 * a + 4 * b + c)] == STOP:
                num_behind = 0
            if t + 1 < len(read) and GROUPS[16 * b + 4 * c + signed(read[t + 1] & 3)] == STOP:
                num_ahead = 0
    _ask(windows, seed, segment, asked, number, forward, backward)


@compiled
def _ask(
    windows: Bytes, seed: int, segment: int, asked: Questions, number: int, forward: Bytes, backward: Bytes
) -> None:
    """Ask the filter for so many open windows: for all of its memory, before the first answer is used."""
    open_windows, places, hashes = asked
    for i in range(number):
        shift = FIRST + np.uint64(2) if places[i] & 1 else np.uint64(0)
        for digit in range(4):
            hashed = seeded(open_windows[i] | (np.uint64(digit) << shift), seed)
            hashes[4 * i + digit] = hashed
            fetch(windows, segment, hashed)
    for i in range(number):
        found = 0
        for digit in range(4):
            found |= int(holds(windows, segment, hashes[4 * i + digit])) << digit
        t = places[i] >> 1
        if places[i] & 1:  # of the other strand's bases
            backward[t] = _REVERSED[found]
        else:
            forward[t] = np.uint8(found)
