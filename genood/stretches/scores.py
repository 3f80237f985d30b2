"""Scores of stretches of one sequence: windows that tile it, and any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genood.calibration import NullDistribution
from genood.detectors.base import Detector, ScoreBatch
from genood.errors import ConfigError
from genood.stretches.pieces import Positions

DEFAULT_WINDOW = 1000

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Stretches:
    """W stretches of one sequence and their scores.

    Attributes
    ----------
    starts, ends
        int64, shape (W,): first base, from 0, and the one after the last.
    num_scored
        int64, shape (W,): scored bases.
    llr, llr_per_base
        float64, shape (W,), nats; NaN where nothing was scored.
    ood_scores, p_values
        Of the detector, shape (W,); NaN where nothing was scored. The p-value is that of a read with so
        many scored bases.
    """

    starts: Ints
    ends: Ints
    num_scored: Ints
    llr: Floats
    llr_per_base: Floats
    ood_scores: Floats
    p_values: Floats


class StretchScorer:
    """Scores stretches of sequences from their per-position values, as if each were a read.

    A window's bases were predicted from all before them, those of a read from its own alone; windows are
    therefore a little more in-distribution than the reads of the null, and their p-values, if anything,
    too large.

    Parameters
    ----------
    detector
        Whose scores.
    null
        Its scores over in-distribution reads.

    Raises
    ------
    ConfigError
        The detector's score is not one of bases.
    """

    def __init__(self, detector: Detector, null: NullDistribution) -> None:
        if not detector.by_base:
            raise ConfigError(
                f"{detector.name} has no scores by window; name another --detector first, such as llr"
            )
        self._detector = detector
        self.null = null

    def windows(self, reads: Sequence[Positions], size: int) -> list[Stretches]:
        """Windows of `size` bases that tile each of some sequences.

        What is left over at the end is a window if it has half of `size`, else the last window takes
        it; a sequence of less than one and a half windows is one.
        """
        return self._scored([_tiled(read, size) for read in reads])

    def stretch(self, read: Positions, start: int, end: int) -> Stretches:
        """One stretch of a sequence."""
        return self._scored([(np.array([start, end]), [_rows(read, start, end, end - start)])])[0]

    def by_base(self, read: Positions, start: int, end: int) -> tuple[Ints, Floats]:
        """The scored positions of a stretch and the OOD score of each base by itself, shape (N,) each."""
        scores = self._detector.score(_rows(read, start, end, 1)).astype(np.float64)
        scored = np.flatnonzero(read.scored[start:end])
        return start + scored, scores[scored]

    def _scored(self, sequences: list[tuple[Ints, list[ScoreBatch]]]) -> list[Stretches]:
        """Scores of the stretches of each sequence: where they start, with its end, and the values there.

        All p-values are asked for at once, which takes hardly longer than one.
        """
        batches = [batch for _, parts in sequences for batch in parts]
        if not batches:
            return []
        num_scored = np.concatenate([batch.num_scored for batch in batches])
        llr = np.concatenate([batch.llr for batch in batches])
        llr[num_scored == 0] = np.nan
        ood_scores = np.concatenate([self._detector.score(batch) for batch in batches]).astype(np.float64)
        columns = {
            "num_scored": num_scored,
            "llr": llr,
            "llr_per_base": llr / np.maximum(num_scored, 1),
            "ood_scores": ood_scores,
            "p_values": self.null.p_values(ood_scores, num_scored),
        }
        stretches = []
        first = 0
        for bounds, _ in sequences:
            own = slice(first, first + len(bounds) - 1)
            mine = {name: column[own] for name, column in columns.items()}
            stretches.append(Stretches(starts=bounds[:-1], ends=bounds[1:], **mine))
            first = own.stop
        return stretches


def _tiled(read: Positions, size: int) -> tuple[Ints, list[ScoreBatch]]:
    """Where the windows of a sequence start, and its end; and the windows, the last one apart."""
    num_bases = len(read.codes)
    starts = np.arange(max(1, (num_bases + size // 2) // size), dtype=np.int64) * size
    last = int(starts[-1])
    batches = [_rows(read, 0, last, size)] if last else []
    return np.append(starts, num_bases), [*batches, _rows(read, last, num_bases, num_bases - last)]


def _rows(read: Positions, start: int, end: int, size: int) -> ScoreBatch:
    """A stretch of a whole number of pieces of a size, as reads."""
    shape = ((end - start) // size if size else 1, size)
    return ScoreBatch(
        codes=read.codes[start:end].reshape(shape),
        lengths=np.full(shape[0], size, dtype=np.int64),
        log_p=read.log_p[start:end].reshape(shape),
        background_log_p=read.background_log_p[start:end].reshape(shape),
    )
