"""Score a stream of reads: batches of similar length, one forward pass, many detectors, input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Self

import numpy as np
import numpy.typing as npt

from genood.calibration import Calibration
from genood.detectors import DETECTORS
from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.serving import check_served, default_detector, needs_of, ready_detector
from genood.ensemble import AnyBundle, how_asked, most_reads
from genood.errors import BundleError, ConfigError
from genood.forward import forward
from genood.intake.pairs import pair_p_values
from genood.intake.windowing import windows_of
from genood.overlap import apply_ahead
from genood.readers import Read, ReadBlock, Records, blocks_of
from genood.rounding import as_in_table
from genood.sequence import Codes, pad
from genood.stretches.pieces import Pieces, Positions, Scores
from genood.threads import on_one_thread

CALLS = ("in", "ood", "na")
_CALL_NAMES = np.array(CALLS, dtype=object)
_NEXT_TO = 1e-5
"""Relative: more than six digits round."""
_MOST_WINDOWS = 16
"""That are scored side by side, at most: each takes memory, and Python's part of the work is not shared."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How reads are grouped; results do not depend on it beyond rounding, but see `piece_bases`.

    Attributes
    ----------
    window_bases, window_reads
        Reads are taken in windows of at most so much (and at least one read or pair), sorted by length
        within the window and written in input order after it. This bounds the memory. Records that are
        kept beside reads count as reads.
    piece_bases, lead_bases
        Longer sequences are scored in pieces of nearly equal length, which the threads share; a
        sequence's OOD score is the mean of those of its pieces, weighted by their scored bases. A model
        reads each from so many bases before it, so that its contexts carry on; what it derives from the
        whole of a read, as the context model its leading class, or a classifier all that it says, it
        derives from each piece. With None, all sequences are scored whole.
    batch_bases
        Bases of one forward pass, padding included; at least one read or piece.
    alpha
        A read whose p-value is at most this is called ``ood``.
    overlap
        Windows that are scored at the same time, while another is read and one is the caller's, all in
        threads; with 0 each is read and scored when the caller asks for it. With more than one, models have
        one thread for each. A sequence that alone is more than a window has all threads to itself.
    """

    window_bases: int = 2_000_000
    window_reads: int = 8_192
    piece_bases: int | None = None
    lead_bases: int = 1_024
    batch_bases: int = 65_536
    alpha: float = 0.05
    overlap: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must lie between 0 and 1, not {self.alpha}")

    @classmethod
    def suiting(cls, bundle: AnyBundle, *, alpha: float, num_threads: int) -> Self:
        """As a bundle's models score best with so many threads.

        What a classifier says of a sequence depends on its length, and by how much is known as far as its
        null goes: longer sequences are scored in pieces of no more than that.
        """
        model = how_asked(bundle)
        side_by_side = min(num_threads, _MOST_WINDOWS) if model.side_by_side else 1
        config = cls(
            alpha=alpha,
            batch_bases=model.batch_bases,
            piece_bases=model.piece_bases,
            overlap=0 if num_threads == 1 else side_by_side,
        )
        if "likelihood" in bundle.gives:
            return config
        nulls = Calibration.from_json(bundle.calibration).nulls.values()
        longest = max((null.lengths[-1] for null in nulls), default=None)
        return replace(config, piece_bases=longest, lead_bases=0)


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
        float64, shape (N,), nats; NaN where nothing was scored, or by no such model.
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
        See `genood.intake.pairs.pair_p_values`, of the p-values above; None where reads are no pairs.
    pair_calls
        As `calls`, by those; both mates of a pair have one call.
    records
        See `ReadBlock.records`.
    predicted
        The class of the reference that explains each read best, empty where nothing was scored; None
        unless it was asked for.
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
    pair_calls: list[str] | None = None
    records: Records | None = None
    predicted: list[str] | None = None


class Scorer:
    """Scores reads with one bundle.

    Parameters
    ----------
    bundle
        The models and their calibration.
    detectors
        Names of `DETECTORS`; the first gives p-values and calls. None is the bundle's default.
    config
        Grouping and significance level.
    keep_positions
        Whether to keep per-position values.
    paired
        Whether mates that follow each other get a p-value as a pair.
    predict_classes
        Whether to tell the class of the reference that explains each read best.

    Raises
    ------
    ConfigError
        An unknown detector, one named twice, or one that needs what the bundle does not give; or it names
        no classes.
    BundleError
        The bundle has no calibration for the first detector, or one has to be fitted and was not.
    """

    def __init__(
        self,
        bundle: AnyBundle,
        *,
        detectors: Sequence[str] | None = None,
        config: EngineConfig | None = None,
        keep_positions: bool = False,
        paired: bool = False,
        predict_classes: bool = False,
    ) -> None:
        if detectors is None:
            detectors = (default_detector(bundle.gives),)
        unknown = [name for name in detectors if name not in DETECTORS]
        if unknown or not detectors or len(set(detectors)) < len(detectors):
            raise ConfigError(
                f"detectors must be different ones of {', '.join(DETECTORS)}, "
                f"not {', '.join(detectors) or 'none'}"
            )
        check_served(detectors, bundle.gives)
        if predict_classes and not bundle.names_classes:
            raise ConfigError(
                "the bundle names no classes; a context model, most classifiers and --per-class do"
            )
        self.bundle = bundle
        self.config = config if config is not None else EngineConfig()
        self.keep_positions = keep_positions
        self.paired = paired
        self.predict_classes = predict_classes
        self.detectors: Mapping[str, Detector] = {
            name: ready_detector(name, bundle.detectors) for name in detectors
        }
        self._needs = needs_of(self.detectors.values())
        self._each_base = keep_positions or any(detector.each_base for detector in self.detectors.values())
        self._most_reads = most_reads(bundle, self._needs)
        calibration = Calibration.from_json(bundle.calibration)
        if detectors[0] not in calibration.nulls:
            needs_gradients = "gradients" in DETECTORS[detectors[0]].needs  # see `detectors_for`
            raise BundleError(
                f"the bundle has no p-values for {detectors[0]!r}; name another --detector before it"
                + ("" if needs_gradients else ", or train it again")
            )
        self._null = calibration.nulls[detectors[0]]

    def score(self, reads: Iterable[Read]) -> Iterator[ScoredReads]:
        """Scores of a stream of reads, window by window, in input order and bounded memory."""
        return self.score_blocks(blocks_of(reads))

    def score_blocks(self, blocks: Iterable[ReadBlock]) -> Iterator[ScoredReads]:
        """As `score`, of reads in blocks; how they are cut into blocks does not matter."""
        # Threads that began windows of one size together would end them together too, each time, and wait
        # for each other with what comes after.
        side_by_side = self.config.overlap
        first = [number / side_by_side for number in range(1, side_by_side)]
        windows = windows_of(blocks, self.config.window_bases, self.config.window_reads, first)
        if not self.config.overlap:
            return map(self._score_window, windows)
        stopped = Event()
        score = partial(self._score_beside, stopped=stopped)
        return apply_ahead(score, windows, self.config.overlap, self._is_large, stopped)

    def _is_large(self, window: ReadBlock) -> bool:
        """Whether a window is one sequence, or two mates, of more than its share of memory."""
        return len(window.codes) > self.config.window_bases

    def _score_beside(self, window: ReadBlock, stopped: Event) -> ScoredReads:
        """As `_score_window`, in one of the threads."""
        with on_one_thread(self.config.overlap > 1 and not self._is_large(window)):
            return self._score_window(window, stopped)

    def _score_window(self, window: ReadBlock, stopped: Event | None = None) -> ScoredReads:
        """Scores of a window; CancelledError if nobody waits for them any more."""
        # Gradients are of a whole read.
        most = None if "gradients" in self._needs else self.config.piece_bases
        pieces = Pieces.of(window.lengths, most, self.config.lead_bases)
        scores = pieces.joined(self._score_pieces(window.codes, pieces, stopped))
        ood_scores = {name: scores.means[name] for name in self.detectors}
        p_values = self._null.p_values(next(iter(ood_scores.values())), scores.num_scored)
        joint = pair_p_values(window.names, window.mates, p_values) if self.paired else None
        return ScoredReads(
            names=window.names,
            mates=window.mates,
            lengths=window.lengths,
            num_scored=scores.num_scored,
            ood_scores=ood_scores,
            p_values=p_values,
            null_reads=self._null.independent_reads(scores.num_scored),
            calls=calls_at(self.config.alpha, p_values),
            positions=scores.positions,
            pair_p_values=joint,
            pair_calls=None if joint is None else calls_at(self.config.alpha, joint),
            records=window.records,
            predicted=scores.names_of_leading(self.bundle.metadata["classes"])
            if self.predict_classes
            else None,
            **scores.sums,
            **{name: scores.means[name] for name in _MEANS},
        )

    def _score_pieces(self, codes: Codes, pieces: Pieces, stopped: Event | None) -> Scores:
        """Scores of pieces of `codes`, uint8."""
        num_pieces = len(pieces.starts)
        num_scored = np.zeros(num_pieces, dtype=np.int64)
        sums = {name: np.full(num_pieces, np.nan) for name in _SUMS}
        means = {name: np.full(num_pieces, np.nan) for name in (*_MEANS, *self.detectors)}
        leading = np.full(num_pieces, -1, dtype=np.int64) if self.predict_classes else None
        positions: dict[int, Positions] = {}
        for members, batch_codes in self._batches(codes, pieces):
            if stopped is not None and stopped.is_set():
                raise CancelledError
            lengths = pieces.lengths[members]
            leads = pieces.leads[members]
            batch = forward(
                self.bundle,
                batch_codes,
                lengths,
                needs=self._needs,
                names=self.predict_classes,
                each_base=self._each_base or bool(leads.any()),
            )
            if leads.any():
                batch = batch.without_leads(leads)
            num_scored[members] = batch.num_scored
            for name in _SUMS:
                sums[name][members] = getattr(batch, name)
            for name, values in _means_of(batch).items():
                means[name][members] = values
            for name, detector in self.detectors.items():
                means[name][members] = detector.score(batch)
            if leading is not None and batch.leading is not None:
                leading[members] = batch.leading
            if self.keep_positions:
                positions.update(zip(members.tolist(), _positions_of(batch, leads), strict=True))
        for values in (*sums.values(), *means.values()):
            values[num_scored == 0] = np.nan
        kept = None
        if self.keep_positions:
            kept = [
                positions.get(number) or Positions.unscored(piece)
                for number, piece in enumerate(pieces.of_codes(codes))
            ]
        return Scores(num_scored=num_scored, sums=sums, means=means, positions=kept, leading=leading)

    def _batches(self, codes: Codes, pieces: Pieces) -> Iterator[tuple[npt.NDArray[np.int64], Codes]]:
        """Pieces of similar length, at most `batch_bases` with padding, longest first; not those of N only.

        Yields their indices and their codes, uint8 of shape (B, L) padded with 4.
        """
        lengths = pieces.lengths
        if not len(lengths):
            return
        order = np.argsort(-lengths, kind="stable")
        known = pieces.have_known_bases(codes)
        rows = None
        if not known.all():
            order = order[known[order]]
        elif lengths.sum() == len(codes) and lengths.min() == lengths.max():
            # They lie in `codes` as they do in a batch, and `order` is theirs.
            rows = codes.reshape(len(lengths), -1)
        start = 0
        while start < len(order):
            size = max(1, min(self.config.batch_bases // int(lengths[order[start]]), self._most_reads))
            members = order[start : start + size]
            if rows is not None:
                yield members, rows[start : start + size]
            else:
                firsts, numbers = pieces.starts[members].tolist(), lengths[members].tolist()
                yield members, pad([codes[at : at + n] for at, n in zip(firsts, numbers, strict=True)])[0]
            start += size


def calls_at(threshold: float, p_values: Floats) -> list[str]:
    """``ood`` for each p-value that in tables is at most the threshold, ``na`` for NaN, else ``in``."""
    in_call, ood_call, no_call = range(len(CALLS))
    # Six digits make a difference to those alone that are next to it.
    if (np.abs(p_values - threshold) < _NEXT_TO * threshold).any():
        p_values = as_in_table(p_values)
    places = np.where(p_values <= threshold, ood_call, in_call)
    places[np.isnan(p_values)] = no_call
    names: list[str] = _CALL_NAMES[places].tolist()
    return names


_SUMS = ("log_likelihood", "background_log_likelihood", "llr")
_MEANS = ("gc", "llr_per_base")


def _means_of(batch: ScoreBatch) -> dict[str, Floats]:
    return {
        "gc": batch.per_base(batch.num_strong.astype(np.float64)),
        # Rounded as detectors round, so that -llr_per_base is the ratio detector's score.
        "llr_per_base": batch.per_base(batch.llr).astype(np.float32),
    }


def _positions_of(batch: ScoreBatch, leads: npt.NDArray[np.int64]) -> Iterator[Positions]:
    for row, (lead, length) in enumerate(zip(leads.tolist(), batch.lengths.tolist(), strict=True)):
        yield Positions(
            codes=batch.codes[row, lead:length],
            scored=batch.mask[row, lead:length],
            log_p=batch.log_p[row, lead:length],
            background_log_p=batch.background_log_p[row, lead:length],
        )
