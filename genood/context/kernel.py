"""Score reads: follow experts, mix classes, mix both; one compiled loop over the bases of a read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate
from genood.context.arrays import Arrays, Room, make_room, turn
from genood.context.classes import mix_classes
from genood.context.follow import Progress, follow, translate
from genood.context.instructions import signed
from genood.context.mixture import (
    BLOCK,
    fast_log,
    low_log,
    read_low,
    read_tables,
    softmax,
    softmax_of_all_classes,
)
from genood.context.propose import ask, propose
from genood.context.rows import Rows, clear_row, sum_row
from genood.context.votes import NO_EXPERT, rank, vote

NO_BACKGROUND, LOW_ORDER, OTHER_CLASSES = 0, 1, 2

_MIN_GAIN = 0.5
"""Nats that experts of a class must have gained for it to be the read's class."""
_COMPOSITION_ORDER = 6
"""Order of the dense table in the background of other classes: what classes have in common, not a genome."""
_COMPOSITION_POWER = np.float32(0.5)
"""Its power, normalised again: the geometric mean with the uniform distribution."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


@compiled_to_allocate
def score(
    codes: Bytes,
    lengths: Ints,
    m: Arrays,
    without_files: Ints,
    background: int,
    background_order: int,
    said: Rows,
    of_background: Rows,
    leading: Ints,
) -> None:
    """Log-probabilities of reads.

    Parameters
    ----------
    codes, lengths
        uint8 (B, L) and int64 (B,).
    m
        The model.
    without_files
        int64 (B,): file whose experts a read must do without, or -1.
    background, background_order
        NO_BACKGROUND, LOW_ORDER with its order, or OTHER_CLASSES.
    said, of_background
        Where they are put, of the model and of the background.
    leading
        int64 (B,): receives the class that explains each read best.
    """
    room = make_room(codes.shape[1], m.num_classes, m.stride)
    seen = np.zeros((1, 1, 1), dtype=np.uint8)
    packed = np.zeros((1, 1), dtype=np.uint16)
    logs = np.zeros((1, 1), dtype=np.float32)
    _score_reads(
        codes,
        lengths,
        m,
        room,
        without_files,
        background,
        background_order,
        said,
        of_background,
        leading,
        seen,
        packed,
        logs,
    )


@compiled
def _score_reads(
    codes: Bytes,
    lengths: Ints,
    m: Arrays,
    room: Room,
    without_files: Ints,
    background: int,
    background_order: int,
    said: Rows,
    of_background: Rows,
    leading: Ints,
    seen: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    logs: Floats,
) -> None:
    """Do `score`; nothing goes to the last three, which `_score_read` takes."""
    for r in range(len(codes)):
        read = codes[r, : lengths[r]]
        row = said.log_p[clear_row(said, r)]
        background_row = of_background.log_p[clear_row(of_background, r)]
        num_places = _look_up(read, m, room)
        num_experts = _score_read(
            read, num_places, m, room, -1, -1, without_files[r], row, False, seen, packed, logs
        )
        best = signed(np.argmax(room.gains))
        if room.gains[best] < _MIN_GAIN:
            best = signed(np.argmax(room.posterior))
        leading[r] = best
        if background == OTHER_CLASSES:
            _score_read(
                read,
                num_places,
                m,
                room,
                num_experts,
                best,
                without_files[r],
                background_row,
                False,
                seen,
                packed,
                logs,
            )
        elif background == LOW_ORDER:
            _low_order(read, m.low, background_order, room.block.low, background_row)
        said.sums[r], of_background.sums[r] = sum_row(row), sum_row(background_row)


@compiled_to_allocate
def observe(
    codes: Bytes,
    m: Arrays,
    without_files: Ints,
    seen: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    logs: Floats,
) -> None:
    """What the mixing of `score` sees at each position, for learning its weights.

    Receives states, uint8 (B, L, 2, 5), `NO_EXPERT` in place of a codon place where there is none;
    packed categories, uint16 (B, L, 2); and the log-probabilities of both dense tables,
    float32 (B, L, 8).
    """
    length = codes.shape[1]
    room = make_room(length, m.num_classes, m.stride)
    out = np.zeros(length, dtype=np.float32)
    seen[:, :, :, 0] = NO_EXPERT
    _observe_reads(codes, m, room, without_files, out, seen, packed, logs)


@compiled
def _observe_reads(
    codes: Bytes,
    m: Arrays,
    room: Room,
    without_files: Ints,
    out: Floats,
    seen: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    logs: Floats,
) -> None:
    """Do `observe`; nothing goes to `out`, which `_score_read` takes."""
    for r in range(len(codes)):
        num_places = _look_up(codes[r], m, room)
        _score_read(
            codes[r],
            num_places,
            m,
            room,
            -1,
            -1,
            without_files[r],
            out,
            True,
            seen[r],
            packed[r],
            logs[r],
        )


@compiled
def _look_up(read: Bytes, m: Arrays, room: Room) -> int:
    """Fill what `room` holds of a read, and the places that are proposed for it; how many."""
    # By name, not within the tuples: to hand over a tuple copies it.
    hashes, ends, nuc, aa = room.hashes, room.ends, m.nuc, m.aa
    groups, frames = room.groups[:, : len(read)], room.frames
    translate(read, groups)
    num_nucleotides, num_translated = ask(
        read, groups, frames, nuc, m.nuc_sampling, aa, m.aa_sampling, hashes, ends
    )
    turn(read, room.turned)
    places = room.places[: 4 * len(read) + 64]
    return propose(num_nucleotides, num_translated, hashes, ends, m.reference, nuc, aa, places)


@compiled
def _low_order(read: Bytes, table: Words, order: int, low: Words, out: Floats) -> None:
    """Log-probabilities of the dense table of one order, normalised; `low` is room, that of a block."""
    history = 0
    for start in range(0, len(read), BLOCK):
        history = read_low(read, start, history, table, order, low)
        for i in range(min(BLOCK, len(read) - start)):
            base = read[start + i]
            if base < 4:
                total = np.float32(0.0)
                for other in range(4):
                    total += np.exp(low_log(low[i], other))
                out[start + i] = low_log(low[i], signed(base)) - np.log(total)


@compiled
def _score_read(
    read: Bytes,
    num_places: int,
    m: Arrays,
    room: Room,
    followed: int,
    without_class: int,
    without_file: int,
    out: Floats,
    observing: bool,
    seen: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    seen_logs: Floats,
) -> int:
    """Log-probabilities of one read without the experts of a class and of a file, -1 for none.

    Without a class it is a background: of the dense tables it has a low order over all classes, flattened.
    That a read looks like one class rather than like all of them speaks for it where no place of the
    reference does.

    `followed` is what the last call returned, if that was of the same read, else -1. Returns the number
    of experts that it leaves followed in `room`.

    If observing, fills the last three arguments of `observe` for the read instead.
    """
    gains, leaders = room.gains, room.leaders
    low, rows, mixed, votes, gates = room.block
    is_background = without_class >= 0
    strongest = room.strongest[signed(is_background)]
    gains[:] = 0.0
    history = 0
    anew = followed < 0 or len(read) > BLOCK
    progress = Progress(0 if anew else followed, 0)
    for start in range(0, len(read), BLOCK):
        if is_background:
            history = read_low(read, start, history, m.low, min(_COMPOSITION_ORDER, m.low_order), low)
        else:
            history = read_tables(
                read, start, history, m.low, m.low_order, m.by_class, m.class_order, m.stride, low, rows
            )
            mix_classes(read, start, m.by_class, m.num_classes, room.posterior, room.least, rows, mixed)
        if anew:
            progress = follow(read, start, num_places, m, room, without_file, progress)
        rank(read, start, progress.num_experts, without_class, room, strongest)
        vote(read, start, m, room, anew, strongest, room.strongest[0], observing, seen, packed)
        if observing:
            for i in range(min(BLOCK, len(read) - start)):
                for b in range(4):
                    seen_logs[start + i, b] = low_log(low[i], b)
                    seen_logs[start + i, 4 + b] = fast_log(mixed[b, i])
            continue
        if is_background:
            softmax_of_all_classes(read, start, _COMPOSITION_POWER, low, votes, gates, room.logs, out)
        else:
            softmax(read, start, low, mixed, votes, gates, room.logs, out)
        for i in range(min(BLOCK, len(read) - start)):
            base = signed(read[start + i])
            if leaders[i] >= 0 and base < 4:
                gains[leaders[i]] += out[start + i] - low_log(low[i], base)
    return progress.num_experts
