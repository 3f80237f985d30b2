"""Score a stream of reads: batches of similar length, one forward pass, many detectors, input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genood.bundle import Bundle
from genood.calibration import Calibration
from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.detectors.base import Detector, ScoreBatch
from genood.errors import BundleError, ConfigError
from genood.overlap import ahead, apply_ahead
from genood.pairs import pair_p_values
from genood.readers import Read, ReadBlock, blocks_of
from genood.sequence import UNKNOWN, Codes, pad

CALLS = ("in", "ood", "na")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How reads are grouped; results do not depend on it beyond rounding.

    Attributes
    ----------
    window_bases, window_reads
        Reads are taken in windows of at most so much (and at least one read or pair), sorted by length
        within the window and written in input order after it. This bounds the memory.
    batch_bases
        Bases of one forward pass, padding included; at least one read.
    alpha
        A read whose p-value is at most this is called ``ood``.
    overlap
        Windows that are scored at the same time, while another is read and one is the caller's, all in
        threads; with 0 each is read and scored when the caller asks for it.
    """

    window_bases: int = 2_000_000
    window_reads: int = 8_192
    batch_bases: int = 65_536
    alpha: float = 0.05
    overlap: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must lie between 0 and 1, not {self.alpha}")


@dataclass(frozen=True, kw_only=True)
class Positions:
    """Per-position values of one read: codes uint8 (L,), scored bool (L,), and nats float32 (L,)."""

    codes: Codes
    scored: npt.NDArray[np.bool_]
    log_p: npt.NDArray[np.float32]
    background_log_p: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ScoredReads:
    """The scores of N reads in input order; see the score table for the columns.

    Attributes
    ----------
    names, mates, lengths, num_scored
        Name, mate (0, 1 or 2), bases and scored bases of each read.
    gc
        G and C among the scored bases, 0 to 1.
    log_likelihood, background_log_likelihood, llr, llr_per_base
        float64, shape (N,), nats; NaN where nothing was scored.
    ood_scores
        By detector, shape (N,), the detector that calls first.
    p_values
        Of the first detector, shape (N,); NaN where nothing was scored.
    null_reads
        Independent in-distribution reads behind each p-value, shape (N,).
    calls
        ``in``, ``ood`` or ``na``.
    positions
        Per-position values, where they were asked for.
    pair_p_values
        See `genood.pairs.pair_p_values`, of the p-values above; None where reads are no pairs.
    """

    names: list[str]
    mates: list[int]
    lengths: npt.NDArray[np.int64]
    num_scored: npt.NDArray[np.int64]
    gc: Floats
    log_likelihood: Floats
    background_log_likelihood: Floats
    llr: Floats
    llr_per_base: Floats
    ood_scores: dict[str, Floats]
    p_values: Floats
    null_reads: Floats
    calls: list[str]
    positions: list[Positions] | None
    pair_p_values: Floats | None = None


class Scorer:
    """Scores reads with one bundle.

    Parameters
    ----------
    bundle
        The models and their calibration.
    detectors
        Names of `DETECTORS`; the first gives p-values and calls.
    config
        Grouping and significance level.
    keep_positions
        Whether to keep per-position values.
    paired
        Whether mates that follow each other get a p-value as a pair.

    Raises
    ------
    ConfigError
        An unknown detector, or one named twice.
    BundleError
        The bundle has no calibration for the first detector.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        detectors: Sequence[str] = (DEFAULT_DETECTOR,),
        config: EngineConfig | None = None,
        keep_positions: bool = False,
        paired: bool = False,
    ) -> None:
        unknown = [name for name in detectors if name not in DETECTORS]
        if unknown or not detectors or len(set(detectors)) < len(detectors):
            raise ConfigError(
                f"detectors must be different ones of {', '.join(DETECTORS)}, "
                f"not {', '.join(detectors) or 'none'}"
            )
        self.bundle = bundle
        self.config = config if config is not None else EngineConfig()
        self.keep_positions = keep_positions
        self.paired = paired
        self.detectors: Mapping[str, Detector] = {name: DETECTORS[name]() for name in detectors}
        calibration = Calibration.from_json(bundle.calibration)
        if detectors[0] not in calibration.nulls:
            raise BundleError(f"the bundle is not calibrated for {detectors[0]!r}; train it again")
        self._null = calibration.nulls[detectors[0]]

    def score(self, reads: Iterable[Read]) -> Iterator[ScoredReads]:
        """Scores of a stream of reads, window by window, in input order and bounded memory."""
        return self.score_blocks(blocks_of(reads))

    def score_blocks(self, blocks: Iterable[ReadBlock]) -> Iterator[ScoredReads]:
        """As `score`, of reads in blocks; how they are cut into blocks does not matter."""
        windows = self._windows(blocks)
        if not self.config.overlap:
            return map(self._score_window, windows)
        return apply_ahead(self._score_window, ahead(windows), self.config.overlap)

    def _windows(self, blocks: Iterable[ReadBlock]) -> Iterator[ReadBlock]:
        parts: list[ReadBlock] = []
        num_reads = num_bases = 0
        for block in blocks:
            bases_before = np.concatenate([[0], np.cumsum(block.lengths)])
            start = 0
            while start < len(block.names):
                last_base = bases_before[start] + self.config.window_bases - num_bases
                stop = int(np.searchsorted(bases_before, last_base, side="right")) - 1
                stop = min(stop, start + self.config.window_reads - num_reads)
                stop -= _cuts_pair(block, stop)
                if parts and stop <= start:
                    yield ReadBlock.joined(parts)
                    parts, num_reads, num_bases = [], 0, 0
                    continue
                stop = max(stop, start + 1)
                stop += _cuts_pair(block, stop)
                parts.append(block.part(start, stop))
                num_reads += stop - start
                num_bases += int(bases_before[stop] - bases_before[start])
                start = stop
        if parts:
            yield ReadBlock.joined(parts)

    def _score_window(self, window: ReadBlock) -> ScoredReads:
        num_reads = len(window.names)
        columns = {name: np.full(num_reads, np.nan) for name in _COLUMNS}
        ood_scores = {name: np.full(num_reads, np.nan) for name in self.detectors}
        num_scored = np.zeros(num_reads, dtype=np.int64)
        positions: dict[int, Positions] = {}
        for members, codes in self._batches(window):
            batch = forward(self.bundle, codes, window.lengths[members])
            num_scored[members] = batch.num_scored
            for name, values in _columns_of(batch).items():
                columns[name][members] = values
            for name, detector in self.detectors.items():
                ood_scores[name][members] = detector.score(batch)
            if self.keep_positions:
                positions.update(zip(members.tolist(), _positions_of(batch), strict=True))
        for values in columns.values():
            values[num_scored == 0] = np.nan
        p_values = self._null.p_values(next(iter(ood_scores.values())), num_scored)
        calls = np.where(p_values <= self.config.alpha, "ood", "in")
        calls[np.isnan(p_values)] = "na"
        return ScoredReads(
            names=window.names,
            mates=window.mates,
            lengths=window.lengths,
            num_scored=num_scored,
            ood_scores=ood_scores,
            p_values=p_values,
            null_reads=self._null.independent_reads(num_scored),
            calls=calls.tolist(),
            positions=_of_all(window, positions) if self.keep_positions else None,
            pair_p_values=pair_p_values(window.names, window.mates, p_values) if self.paired else None,
            **columns,
        )

    def _batches(self, window: ReadBlock) -> Iterator[tuple[npt.NDArray[np.int64], Codes]]:
        """Reads of similar length, at most `batch_bases` with padding, longest first; not those of N only.

        Yields their indices and their codes, uint8 of shape (B, L) padded with 4.
        """
        known = _have_known_bases(window)
        places = np.flatnonzero(known)
        if not len(places):
            return
        if len(places) < len(known):
            window = window.where(known)
        lengths = window.lengths
        order = np.argsort(-lengths, kind="stable")
        # Reads of one length lie in the window as they do in a batch, and `order` is theirs.
        rows = window.codes.reshape(len(lengths), -1) if lengths.min() == lengths.max() else None
        sequences = window.sequences() if rows is None else []
        start = 0
        while start < len(order):
            size = max(1, self.config.batch_bases // int(lengths[order[start]]))
            members = order[start : start + size]
            if rows is not None:
                yield places[members], rows[start : start + size]
            else:
                yield places[members], pad([sequences[i] for i in members])[0]
            start += size


def _have_known_bases(window: ReadBlock) -> npt.NDArray[np.bool_]:
    """Of each read, shape (N,), whether there is anything to score."""
    starts = np.cumsum(window.lengths) - window.lengths
    return np.minimum.reduceat(window.codes, starts) < UNKNOWN


def _of_all(window: ReadBlock, positions: Mapping[int, Positions]) -> list[Positions]:
    """The positions of each read, also of those that were not scored."""
    return [
        positions[i] if i in positions else _unscored(codes) for i, codes in enumerate(window.sequences())
    ]


def _unscored(codes: Codes) -> Positions:
    zeros = np.zeros(len(codes), dtype=np.float32)
    return Positions(codes=codes, scored=codes < UNKNOWN, log_p=zeros, background_log_p=zeros)


def _cuts_pair(block: ReadBlock, place: int) -> bool:
    """Whether the read before `place` is a mate 1 and the one after it a mate 2."""
    return block.mates[max(place - 1, 0) : place + 1] == [1, 2]


_COLUMNS = ("gc", "log_likelihood", "background_log_likelihood", "llr", "llr_per_base")


def forward(
    bundle: Bundle,
    codes: Codes,
    lengths: npt.NDArray[np.int64],
    without_files: npt.NDArray[np.int64] | None = None,
) -> ScoreBatch:
    """One forward pass of both models; the arguments are those of `Bundle.log_probs`."""
    log_p, background_log_p = bundle.log_probs(codes, lengths, without_files)
    mask = codes < UNKNOWN
    if lengths.min() < codes.shape[1]:
        mask &= np.arange(codes.shape[1]) < lengths[:, None]
    return ScoreBatch(codes=codes, lengths=lengths, mask=mask, log_p=log_p, background_log_p=background_log_p)


def _columns_of(batch: ScoreBatch) -> dict[str, Floats]:
    # C and G are the codes 1 and 2.
    strong = (batch.mask & ((batch.codes == 1) | (batch.codes == 2))).sum(axis=1)
    return {
        "gc": batch.per_base(strong.astype(np.float64)),
        "log_likelihood": batch.log_likelihood,
        "background_log_likelihood": batch.background_log_likelihood,
        "llr": batch.llr,
        # Rounded as detectors round, so that -llr_per_base is the ratio detector's score.
        "llr_per_base": batch.per_base(batch.llr).astype(np.float32),
    }


def _positions_of(batch: ScoreBatch) -> Iterator[Positions]:
    for row, length in enumerate(batch.lengths.tolist()):
        yield Positions(
            codes=batch.codes[row, :length],
            scored=batch.mask[row, :length],
            log_p=batch.log_p[row, :length],
            background_log_p=batch.background_log_p[row, :length],
        )
