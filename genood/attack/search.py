"""Greedy search: substitutions one after the other, each the best of some that were tried.

Which are tried first is a ranking's choice: `RandomRanking` here, `GradientRanking` for models that have
gradients. Shapes: B reads, L positions, 4 bases, Q quantities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from genood.attack.config import Draw
from genood.attack.objectives import Floats, distances, percentage_errors
from genood.rounding import as_in_table
from genood.sequence import BASES, UNKNOWN, Codes, pad

Ints = npt.NDArray[np.int64]

_NUM_BASES = len(BASES)
_TRIED_BASES = 2**24
"""Bases of changed reads that are in memory at once, at most; those of one read at least."""


class Edit(NamedTuple):
    """A substitution: the position, from 0, and the code of the new base."""

    position: int
    base: int


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One read and what it is to become.

    Attributes
    ----------
    number
        Of the read among all that are attacked; its random draws depend on it.
    codes
        uint8, shape (L,).
    target
        Quantities to reach, shape (Q,).
    budget
        Substitutions, at most.
    """

    number: int
    codes: Codes
    target: Floats
    budget: int


@dataclass(kw_only=True)
class Trajectory:
    """The substitutions of a read, one after the other.

    Attributes
    ----------
    edits
        Each at a position of its own.
    distances, percentage_errors
        From the target, before the first and after each: one more than there are edits.
    """

    edits: list[Edit] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    percentage_errors: list[float] = field(default_factory=list)

    def within(self, num_edits: int) -> int:
        """Edits made with such a budget: as the search is greedy, the first of those it made."""
        return min(num_edits, len(self.edits))


def with_edits(codes: Codes, edits: Sequence[Edit]) -> Codes:
    """A read, uint8 (L,), with substitutions; the read itself is not changed."""
    changed = codes.copy()
    for edit in edits:
        changed[edit.position] = edit.base
    return changed


class Asked(Protocol):
    """What can be asked for the quantities of reads; see `Victim`."""

    def values(self, codes: Codes, lengths: Ints) -> Floats:
        """See `Victim.values`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """B reads as they are by now.

    Attributes
    ----------
    codes, lengths
        uint8 (B, L) and int64 (B,), in bases.
    values, targets
        Their quantities and those to reach, (B, Q).
    numbers, num_edits
        See `Attempt.number`; substitutions made so far: int64 (B,).
    allowed
        bool, shape (B, L, 4): substitutions that may be made.
    """

    codes: Codes
    lengths: Ints
    values: Floats
    targets: Floats
    numbers: Ints
    num_edits: Ints
    allowed: npt.NDArray[np.bool_]


class Ranking(Protocol):
    """Says which substitutions to try first."""

    def orders(self, state: State) -> list[Ints]:
        """The allowed substitutions of each read, most promising first, as indices into (L, 4) made flat."""


class RandomRanking:
    """All substitutions in random order, another one for each read and number of edits.

    Parameters
    ----------
    seed
        Of the orders.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def orders(self, state: State) -> list[Ints]:
        """See `Ranking.orders`."""
        rows = zip(state.numbers.tolist(), state.num_edits.tolist(), state.allowed, strict=True)
        return [
            np.random.default_rng((self._seed, Draw.SUBSTITUTIONS, number, num_edits)).permutation(
                np.flatnonzero(allowed)
            )
            for number, num_edits, allowed in rows
        ]


class Search:
    """Attacks reads that are given together; what becomes of each does not depend on the others.

    Parameters
    ----------
    victim
        Whose quantities of the reads are to change.
    ranking
        Which substitutions to try first.
    candidates, tries
        See `AttackConfig`.
    near
        Distance from the target at which a read is left as it is.
    """

    def __init__(
        self, victim: Asked, ranking: Ranking, *, candidates: int, tries: int, near: float = 0.0
    ) -> None:
        self._victim = victim
        self._ranking = ranking
        self._candidates = candidates
        self._tries = tries
        self._near = near

    def run(
        self, attempts: Sequence[Attempt], progress: Callable[[int], None] | None = None
    ) -> list[Trajectory]:
        """Attack reads; `progress` is told how many are done since it was told last."""
        group = _Group(attempts, self._victim)
        active = [row for row in range(len(attempts)) if group.goes_on(row, self._near)]
        _tell(progress, len(attempts) - len(active))
        while active:
            self._rank(group, active)
            for rows in group.bounded(active, self._candidates):
                self._try(group, rows)
            left = [
                row for row in active if group.misses[row] < self._tries and group.goes_on(row, self._near)
            ]
            _tell(progress, len(active) - len(left))
            active = left
        return group.trajectories

    def _rank(self, group: _Group, active: Sequence[int]) -> None:
        """Order the substitutions of reads that have changed since they were last ordered."""
        rows = [row for row in active if group.orders[row] is None]
        if rows:
            for row, order in zip(rows, self._ranking.orders(group.state(rows)), strict=True):
                group.orders[row] = order

    def _try(self, group: _Group, rows: Sequence[int]) -> None:
        """Try the next candidates of some reads, and make the best of each if it comes closer."""
        tried = [group.next_candidates(row, self._candidates) for row in rows]
        counts = [len(flat) for flat in tried]
        owners = np.repeat(rows, counts)
        flat = np.concatenate(tried)
        codes = group.codes[owners]
        codes[np.arange(len(flat)), flat // _NUM_BASES] = flat % _NUM_BASES
        if not len(flat):
            values = np.empty((0, group.targets.shape[1]))
        else:
            values = self._victim.values(codes, group.lengths[owners])
        stops = np.cumsum(counts)
        for row, start, stop in zip(rows, stops - counts, stops, strict=True):
            group.take_best(row, flat[start:stop], values[start:stop])


class _Group:
    """Reads under attack, and how far each has come."""

    def __init__(self, attempts: Sequence[Attempt], victim: Asked) -> None:
        self.codes, self.lengths = pad([attempt.codes for attempt in attempts])
        self.targets = np.array([attempt.target for attempt in attempts], dtype=np.float64)
        self.budgets = [attempt.budget for attempt in attempts]
        self.numbers = np.array([attempt.number for attempt in attempts], dtype=np.int64)
        self.values = victim.values(self.codes, self.lengths)
        self.allowed = np.repeat((self.codes < UNKNOWN)[..., None], _NUM_BASES, axis=2)
        self.allowed &= self.codes[..., None] != np.arange(_NUM_BASES)
        self.orders: list[Ints | None] = [None] * len(attempts)
        self.misses = [0] * len(attempts)
        self.trajectories = [Trajectory() for _ in attempts]
        for row in range(len(attempts)):
            self._note(row)

    def state(self, rows: Sequence[int]) -> State:
        """Some of the reads as they are."""
        return State(
            codes=self.codes[rows],
            lengths=self.lengths[rows],
            values=self.values[rows],
            targets=self.targets[rows],
            numbers=self.numbers[rows],
            num_edits=np.array([len(self.trajectories[row].edits) for row in rows], dtype=np.int64),
            allowed=self.allowed[rows],
        )

    def goes_on(self, row: int, near: float) -> bool:
        """Whether a read may be changed further and has not reached its target."""
        trajectory = self.trajectories[row]
        return len(trajectory.edits) < self.budgets[row] and trajectory.distances[-1] > near

    def bounded(self, rows: Sequence[int], candidates: int) -> Iterator[Sequence[int]]:
        """Rows in parts whose candidates are in memory together."""
        bases = min(candidates, self.allowed[0].size) * self.codes.shape[1]
        step = max(1, _TRIED_BASES // max(bases, 1))
        for start in range(0, len(rows), step):
            yield rows[start : start + step]

    def next_candidates(self, row: int, number: int) -> Ints:
        """The next so many of a read's substitutions that were not tried since it changed."""
        order = self.orders[row]
        assert order is not None
        return order[self.misses[row] * number : (self.misses[row] + 1) * number]

    def take_best(self, row: int, flat: Ints, values: Floats) -> None:
        """Make the candidate that comes closest, if it comes closer; else count a miss."""
        if len(flat):
            tried = _rounded_distances(values, self.targets[row])
            best = int(np.argmin(tried))
            if tried[best] < self.trajectories[row].distances[-1]:
                position, base = divmod(int(flat[best]), _NUM_BASES)
                self.codes[row, position] = base
                self.allowed[row, position] = False
                self.values[row] = values[best]
                self.orders[row] = None
                self.misses[row] = 0
                self.trajectories[row].edits.append(Edit(position, base))
                self._note(row)
                return
        self.misses[row] += 1

    def _note(self, row: int) -> None:
        value, target = self.values[row : row + 1], self.targets[row : row + 1]
        self.trajectories[row].distances.append(float(_rounded_distances(value, target)[0]))
        self.trajectories[row].percentage_errors.append(float(percentage_errors(value, target)[0]))


def _rounded_distances(values: Floats, targets: Floats) -> Floats:
    """See `distances`; so that what differs by the order of sums alone is a tie, and the first wins."""
    return as_in_table(distances(values, targets))


def _tell(progress: Callable[[int], None] | None, number: int) -> None:
    if progress is not None and number:
        progress(number)
