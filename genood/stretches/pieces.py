"""Long sequences in pieces: how they are cut, and how the scores of pieces become those of reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from genood.sequence import UNKNOWN, Codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Positions:
    """Per-position values of one read: codes uint8 (L,), scored bool (L,), and nats float32 (L,)."""

    codes: Codes
    scored: npt.NDArray[np.bool_]
    log_p: npt.NDArray[np.float32]
    background_log_p: npt.NDArray[np.float32]

    @classmethod
    def unscored(cls, codes: Codes) -> Self:
        """The values of a read without a known base."""
        zeros = np.zeros(len(codes), dtype=np.float32)
        return cls(codes=codes, scored=zeros > 0, log_p=zeros, background_log_p=zeros)

    @classmethod
    def joined(cls, pieces: Sequence[Positions]) -> Self:
        """The values of a read from those of its pieces, at least one."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names})


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of N sequences.

    Attributes
    ----------
    num_scored
        Scored bases of each, int64 (N,).
    sums, means
        By name, float64 (N,): sums and means over the scored bases, NaN where there are none.
    positions
        Per-position values, where they were asked for.
    leading
        The class that explains each best, int64 (N,), where it was asked for.
    """

    num_scored: Ints
    sums: dict[str, Floats]
    means: dict[str, Floats]
    positions: list[Positions] | None
    leading: Ints | None = None

    def names_of_leading(self, classes: Sequence[str]) -> list[str]:
        """The classes of `leading` by name; empty where nothing was scored."""
        assert self.leading is not None
        names = [*classes, ""]
        return [names[place] for place in np.where(self.num_scored > 0, self.leading, -1).tolist()]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """P pieces of N reads that follow each other in memory, in their order.

    Attributes
    ----------
    starts, lengths, leads
        int64 (P,), in bases: where each begins, how long it is, and how many of its bases a model reads
        before the first that counts.
    owners
        int64 (P,): the read of each.
    """

    starts: Ints
    lengths: Ints
    leads: Ints
    owners: Ints

    @classmethod
    def of(cls, lengths: Ints, most: int | None, lead: int) -> Self:
        """The pieces of reads of these lengths, int64 (N,), each at least 1.

        Pieces of a read are nearly equal and have at most `most` bases, not counting their `lead`; with
        None each read is one piece.
        """
        first_bases = np.cumsum(lengths) - lengths
        reads = np.arange(len(lengths))
        if most is None or lengths.max(initial=0) <= most:
            return cls(starts=first_bases, lengths=lengths, leads=np.zeros_like(lengths), owners=reads)
        num_pieces = -(-lengths // most)
        owners = np.repeat(reads, num_pieces)
        number = np.arange(len(owners)) - (np.cumsum(num_pieces) - num_pieces)[owners]
        start, stop = (np.stack([number, number + 1]) * lengths[owners]) // num_pieces[owners]
        leads = np.minimum(start, lead)
        return cls(
            starts=first_bases[owners] + start - leads,
            lengths=stop - start + leads,
            leads=leads,
            owners=owners,
        )

    def of_codes(self, codes: Codes) -> list[Codes]:
        """The codes of each piece without its lead, of those of all reads, uint8."""
        firsts, lasts = (self.starts + self.leads).tolist(), (self.starts + self.lengths).tolist()
        return [codes[first:last] for first, last in zip(firsts, lasts, strict=True)]

    def have_known_bases(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Of each piece, shape (P,), whether there is anything to score after its lead."""
        return np.minimum.reduceat(codes, self.starts + self.leads) < UNKNOWN

    def joined(self, scores: Scores) -> Scores:
        """Scores of the reads, from those of their pieces."""
        if not len(self.owners) or self.owners[-1] + 1 == len(self.owners):
            return scores
        num_scored = np.bincount(self.owners, scores.num_scored).astype(np.int64)
        unscored = num_scored == 0

        def total(values: Floats) -> Floats:
            is_nan = np.isnan(values)
            added = np.bincount(self.owners, np.where(is_nan, 0.0, values)).astype(np.float64)
            # Pieces without a scored base are nothing; a scored one without a value leaves the read without.
            without = np.bincount(self.owners, is_nan & (scores.num_scored > 0)) > 0
            added[unscored | without] = np.nan
            return added

        positions = None
        if scores.positions is not None:
            firsts = np.flatnonzero(np.diff(self.owners, prepend=-1)).tolist()
            lasts = [*firsts[1:], len(self.owners)]
            positions = [
                Positions.joined(scores.positions[first:last])
                for first, last in zip(firsts, lasts, strict=True)
            ]
        weights = np.maximum(num_scored, 1)
        return Scores(
            num_scored=num_scored,
            sums={name: total(values) for name, values in scores.sums.items()},
            means={
                name: total(values * scores.num_scored) / weights for name, values in scores.means.items()
            },
            positions=positions,
            leading=None if scores.leading is None else self._most(scores.leading, scores.num_scored),
        )

    def _most(self, classes: Ints, weights: Ints) -> Ints:
        """The class of each read that most of its pieces' weight is of; of equals the first class."""
        pairs, places = np.unique(np.stack([self.owners, classes]), axis=1, return_inverse=True)
        total = np.bincount(places.ravel(), weights)
        order = np.lexsort((pairs[1], -total, pairs[0]))
        owners = pairs[0, order]
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        return pairs[1, order[first]]
