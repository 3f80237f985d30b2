"""Score reads: follow experts, mix classes, mix both; one compiled loop over the bases of a read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.context.compiled import compiled, signed
from genood.context.dense import NATS_PER_STEP
from genood.context.genes import END
from genood.context.propose import propose
from genood.context.record import (
    NUM_CATEGORIES,
    NUM_FEATURES,
    NUM_LEVELS,
    NUM_PLACES,
    base_agreements,
    base_at,
    codon_agreements,
    codon_agrees,
    describe,
    ones,
    place_at,
    strength,
)

_STEP = np.float32(-NATS_PER_STEP)
NO_EXPERT = 255
NUM_EXPERTS = 6
"""Followed at a time."""
NO_BACKGROUND, LOW_ORDER, OTHER_CLASSES = 0, 1, 2

_MIN_AGREEMENTS = 18
"""Of the last 32 bases, for a place to be followed: a translated context alone comes up by chance."""
_MIN_RECENT_AGREEMENTS = 5
_MIN_CODONS = 4
"""An expert is given up below both: of the last 16 bases, of the last 8 codons."""
_MIN_GAIN = 0.5
"""Nats that experts of a class must have gained for it to be the read's class."""
_OTHERS_POWER = np.float32(0.5)
"""Power of the other classes' distribution, normalised again: their geometric mean with the uniform
one. What they have in common with an unknown class they have in part only."""
_LEAST_WEIGHT = np.float32(1e-20)
_AHEAD = 512
"""Bases for which the dense tables are read at a time: the memory answers many reads at once as fast
as one."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
"""Rows of a dense table: the bytes of the four bases, the first lowest."""


class Arrays(NamedTuple):
    """What the loops read; see `genood.context.tables.Tables`, `record` and `dense`."""

    reference: Bytes
    offsets: Ints
    labels: Ints
    files: Ints
    groups: Bytes
    nuc: npt.NDArray[np.uint64]
    nuc_sampling: int
    aa: npt.NDArray[np.uint64]
    aa_sampling: int
    low: Words
    low_order: int
    by_class: Words
    class_order: int
    num_classes: int
    probabilities: Floats
    weights: Floats
    gates: Floats
    no_expert_gates: Floats
    third_bases: Ints
    run_levels: Bytes
    categories: npt.NDArray[np.uint16]


class Room(NamedTuple):
    """What the loops write to while they are at one read.

    Attributes
    ----------
    hashes, places
        See `propose`.
    gains, posterior
        float64 and float32, by class: nats that its experts gained, and its weight in the mixture.
    low, by_class
        The dense tables at the next bases.
    """

    hashes: npt.NDArray[np.uint64]
    places: Ints
    gains: npt.NDArray[np.float64]
    posterior: Floats
    low: Words
    by_class: Words


@compiled
def make_room(longest: int, num_classes: int) -> Room:
    """Room for reads of at most `longest` bases."""
    return Room(
        np.empty((3, 3 * longest), dtype=np.uint64),
        np.empty((4 * longest + 64, 3), dtype=np.int64),
        np.zeros(num_classes, dtype=np.float64),
        np.zeros(num_classes, dtype=np.float32),
        np.empty(_AHEAD, dtype=np.uint32),
        np.empty((_AHEAD, num_classes), dtype=np.uint32),
    )


@compiled
def score(
    codes: Bytes,
    lengths: Ints,
    m: Arrays,
    without_files: Ints,
    background: int,
    background_order: int,
    out: Floats,
    background_out: Floats,
) -> None:
    """Log-probabilities of reads, in nats, into `out` and `background_out`, float32 (B, L), zeros.

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
    """
    room = make_room(codes.shape[1], m.num_classes)
    states = np.zeros((1, 1, 1), dtype=np.uint8)
    packed = np.zeros((1, 1), dtype=np.uint16)
    logs = np.zeros((1, 1), dtype=np.float32)
    for r in range(len(codes)):
        read = codes[r, : lengths[r]]
        num_places = propose(
            read,
            m.reference,
            m.nuc,
            m.nuc_sampling,
            m.aa,
            m.aa_sampling,
            m.groups,
            room.hashes,
            room.places[: 4 * len(read) + 64],
        )
        num_left = _follow(
            read, num_places, m, room, True, -1, without_files[r], out[r], False, states, packed, logs
        )
        if background == OTHER_CLASSES:
            best = signed(np.argmax(room.gains))
            if room.gains[best] < _MIN_GAIN:
                best = signed(np.argmax(room.posterior))
            _follow(
                read,
                num_left,
                m,
                room,
                False,
                best,
                without_files[r],
                background_out[r],
                False,
                states,
                packed,
                logs,
            )
        elif background == LOW_ORDER:
            _low_order(read, m.low, background_order, background_out[r])


@compiled
def observe(
    codes: Bytes,
    m: Arrays,
    without_files: Ints,
    states: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    logs: Floats,
) -> None:
    """What the mixing of `score` sees at each position, for learning its weights.

    Receives states, uint8 (B, L, 2, 5), `NO_EXPERT` in place of a codon place where there is none;
    packed categories, uint16 (B, L, 2); and the log-probabilities of both dense tables,
    float32 (B, L, 8).
    """
    length = codes.shape[1]
    room = make_room(length, m.num_classes)
    out = np.zeros(length, dtype=np.float32)
    for r in range(len(codes)):
        num_places = propose(
            codes[r],
            m.reference,
            m.nuc,
            m.nuc_sampling,
            m.aa,
            m.aa_sampling,
            m.groups,
            room.hashes,
            room.places,
        )
        _follow(
            codes[r],
            num_places,
            m,
            room,
            True,
            -1,
            without_files[r],
            out,
            True,
            states[r],
            packed[r],
            logs[r],
        )


@compiled
def _start_of(order: int) -> int:
    """Row of the dense table at which an order starts, for one class."""
    return ((1 << (2 * order)) - 1) // 3


@compiled
def _byte(word: np.uint32, base: int) -> int:
    return signed((word >> np.uint32(8 * base)) & np.uint32(0xFF))


@compiled
def _low_order(read: Bytes, low: Words, order: int, out: Floats) -> None:
    """Log-probabilities of the dense table of one order, normalised."""
    history = 0
    for t in range(len(read)):
        k = min(t, order)
        word = low[_start_of(k) + (history & ((1 << (2 * k)) - 1))]
        if read[t] < 4:
            total = np.float32(0.0)
            for base in range(4):
                total += np.exp(np.float32(_byte(word, base)) * _STEP)
            out[t] = np.float32(_byte(word, signed(read[t]))) * _STEP - np.log(total)
        history = ((history << 2) | signed(read[t] & 3)) & 0xFFFFFFFFFFFF


@compiled
def _look_ahead(read: Bytes, t: int, history: int, m: Arrays, room: Room) -> int:
    """Read the dense tables for the next `_AHEAD` bases; gives the history after them."""
    for i in range(min(_AHEAD, len(read) - t)):
        k = min(t + i, m.low_order)
        room.low[i] = m.low[_start_of(k) + (history & ((1 << (2 * k)) - 1))]
        k = min(t + i, m.class_order)
        start = m.num_classes * (_start_of(k) + (history & ((1 << (2 * k)) - 1)))
        for label in range(m.num_classes):
            room.by_class[i, label] = m.by_class[start + label]
        history = ((history << 2) | signed(read[t + i] & 3)) & 0xFFFFFFFFFFFF
    return history


@compiled
def _mix_classes(row: int, by_class: Words, posterior: Floats, probabilities: Floats, logs: Floats) -> None:
    """Log-probabilities of the bases in the mixture of the classes, not quite normalised."""
    a = b = c = d = np.float32(0.0)
    for label in range(len(posterior)):
        weight, word = posterior[label], by_class[row, label]
        a += weight * probabilities[_byte(word, 0)]
        b += weight * probabilities[_byte(word, 1)]
        c += weight * probabilities[_byte(word, 2)]
        d += weight * probabilities[_byte(word, 3)]
    logs[0], logs[1], logs[2], logs[3] = np.log(a), np.log(b), np.log(c), np.log(d)


@compiled
def _learn_class(row: int, base: int, by_class: Words, posterior: Floats, probabilities: Floats) -> None:
    """Weigh the classes by how they predicted a base."""
    for label in range(len(posterior)):
        posterior[label] *= probabilities[_byte(by_class[row, label], base)]


@compiled
def _rescale(without_class: int, posterior: Floats) -> None:
    """Make the largest weight 1; in time, as four times the smallest probability is e^-32."""
    scale = np.float32(1.0) / posterior.max()
    for label in range(len(posterior)):
        posterior[label] = max(posterior[label] * scale, _LEAST_WEIGHT)
    if without_class >= 0:
        posterior[without_class] = 0.0


@compiled
def _row(rank: int, feature: int, state: Ints) -> int:
    """Where the weights of a feature of a state start."""
    row = (rank * NUM_FEATURES + feature) * NUM_PLACES + state[0]
    return (row * NUM_LEVELS + state[1 + feature]) * NUM_CATEGORIES


@compiled
def _follow(
    read: Bytes,
    num_places: int,
    m: Arrays,
    room: Room,
    fresh: bool,
    without_class: int,
    without_file: int,
    out: Floats,
    observing: bool,
    states: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
    seen_logs: Floats,
) -> int:
    """Log-probabilities of one read without the experts of a class and of a file, -1 for none.

    Leaves in `room` the places that were not followed already and agreed with the read, and gives
    their number. Unless `fresh`, the read is that of the last call, and so is what was read ahead.

    If observing, fills the last three arguments of `observe` for the read instead.
    """
    # By name, not within the tuples: to hand over a tuple copies it.
    reference, groups, places = m.reference, m.groups, room.places
    weights, gates, no_expert_gates = m.weights, m.gates, m.no_expert_gates
    third_bases, run_levels, categories = m.third_bases, m.run_levels, m.categories
    low, by_class, posterior = room.low, room.by_class, room.posterior
    gains, probabilities = room.gains, m.probabilities
    offsets, labels, files = m.offsets, m.labels, m.files
    position = np.zeros(NUM_EXPERTS, dtype=np.int64)
    step = np.zeros(NUM_EXPERTS, dtype=np.int64)
    bases = np.zeros(NUM_EXPERTS, dtype=np.int64)
    codons = np.zeros(NUM_EXPERTS, dtype=np.int64)
    label = np.zeros(NUM_EXPERTS, dtype=np.int64)
    rank_by = np.zeros(NUM_EXPERTS, dtype=np.int64)
    low_logs = np.zeros(4, dtype=np.float32)
    class_logs = np.zeros(4, dtype=np.float32)
    logits = np.zeros(4, dtype=np.float32)
    state = np.zeros(5, dtype=np.int64)
    num_experts = 0
    next_place = num_left = 0
    history = 0
    gains[:] = 0.0
    posterior[:] = 1.0
    if without_class >= 0:
        posterior[without_class] = 0.0
    for t in range(len(read)):
        base = signed(read[t])
        if t % _AHEAD == 0 and (fresh or len(read) > _AHEAD):
            history = _look_ahead(read, t, history, m, room)
        for b in range(4):
            low_logs[b] = np.float32(_byte(low[t % _AHEAD], b)) * _STEP
        _mix_classes(t % _AHEAD, by_class, posterior, probabilities, class_logs)

        # The strongest expert, and the strongest of those that expect another base.
        first = second = -1
        for e in range(num_experts):
            if first < 0 or rank_by[e] > rank_by[first]:
                first = e
        if first >= 0:
            expected = base_at(reference, position[first], step[first])
            for e in range(num_experts):
                if (second < 0 or rank_by[e] > rank_by[second]) and expected != base_at(
                    reference, position[e], step[e]
                ):
                    second = e
        low_gate, class_gate = no_expert_gates[0], no_expert_gates[1]
        logits[:] = 0.0
        for rank in range(2):
            e = first if rank == 0 else second
            if e < 0:
                if observing:
                    states[t, rank, 0] = NO_EXPERT
                continue
            four = describe(
                reference,
                position[e],
                step[e],
                bases[e],
                codons[e],
                read,
                t,
                third_bases,
                run_levels,
                categories,
                state,
            )
            if rank == 0:
                low_gate = gates[state[0], state[4], 0]
                class_gate = gates[state[0], state[4], 1]
            row0, row1 = _row(rank, 0, state), _row(rank, 1, state)
            row2, row3 = _row(rank, 2, state), _row(rank, 3, state)
            for b in range(4):
                category = (four >> (3 * b)) & 7
                logits[b] += weights[row0 + category] + weights[row1 + category]
                logits[b] += weights[row2 + category] + weights[row3 + category]
            if observing:
                packed[t, rank] = four
                for i in range(5):
                    states[t, rank, i] = state[i]
        if observing:
            for b in range(4):
                seen_logs[t, b] = low_logs[b]
                seen_logs[t, 4 + b] = class_logs[b]
        elif base < 4:
            for b in range(4):
                logits[b] += low_gate * low_logs[b] + class_gate * class_logs[b]
            if without_class >= 0:
                for b in range(4):
                    logits[b] *= _OTHERS_POWER
            top = max(max(logits[0], logits[1]), max(logits[2], logits[3]))
            total = np.float32(0.0)
            for b in range(4):
                total += np.exp(logits[b] - top)
            out[t] = logits[base] - top - np.log(total)
            if first >= 0:
                gains[label[first]] += out[t] - low_logs[base]
        if base < 4:
            _learn_class(t % _AHEAD, base, by_class, posterior, probabilities)
            if t & 3 == 3:
                _rescale(without_class, posterior)

        # Experts go on, and those that were wrong too often are given up.
        kept = 0
        for e in range(num_experts):
            p = position[e]
            if base < 4:
                agrees = signed(base == base_at(reference, p, step[e]))
                bases[e] = ((bases[e] << 1) | agrees) & 0xFFFFFFFF
                place = place_at(reference, p, step[e])
                if place == 3 or place == 4:
                    agrees = codon_agrees(reference, p, step[e], read, t, place, groups)
                    codons[e] = ((codons[e] << 1) | agrees) & 0xFF
            p += step[e]
            if reference[p] & END or (
                ones(bases[e] & 0xFFFF) < _MIN_RECENT_AGREEMENTS and ones(codons[e]) < _MIN_CODONS
            ):
                continue
            position[kept], step[kept], label[kept] = p, step[e], label[e]
            bases[kept], codons[kept] = bases[e], codons[e]
            rank_by[kept] = strength(bases[e], codons[e])
            kept += 1
        num_experts = kept

        # New experts, where contexts that end at this base propose them.
        while next_place < num_places and places[next_place, 0] == t:
            p, direction = places[next_place, 1], places[next_place, 2]
            next_place += 1
            known = False
            for e in range(num_experts):
                known |= position[e] == p + direction and step[e] == direction
            if known or reference[p + direction] & END:
                continue
            new_bases = base_agreements(reference, p, direction, read, t)
            if ones(new_bases) < _MIN_AGREEMENTS:
                continue
            segment = np.searchsorted(offsets, p, side="right") - 1
            if files[segment] == without_file:
                continue
            places[num_left, 0], places[num_left, 1], places[num_left, 2] = t, p, direction
            num_left += 1
            if labels[segment] == without_class:
                continue
            new_codons = codon_agreements(reference, p, direction, read, t, groups)
            new_rank = strength(new_bases, new_codons)
            e = num_experts
            if num_experts == NUM_EXPERTS:
                e = signed(np.argmin(rank_by))
                if rank_by[e] >= new_rank:
                    continue
            else:
                num_experts += 1
            position[e], step[e], label[e] = p + direction, direction, labels[segment]
            bases[e], codons[e], rank_by[e] = new_bases, new_codons, new_rank
    return num_left
