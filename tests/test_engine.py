"""The engine: order, batching, masks, calls."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from dnaio import SequenceRecord
from toy_runs import chains, mixed_reads
from toys import uniform_codes

from genood import threads
from genood.bundle import Bundle
from genood.detectors import DETECTORS
from genood.detectors.base import ScoreBatch
from genood.detectors.likelihood import Likelihood
from genood.engine import EngineConfig, ScoredReads, Scorer, calls_at
from genood.errors import BundleError, ConfigError
from genood.forward import forward
from genood.readers import Read, ReadBlock, Records
from genood.sequence import UNKNOWN, Codes, encode
from genood.stretches.pieces import Pieces


@pytest.fixture(scope="module")
def bundle(bundle_dir: Path) -> Bundle:
    return Bundle.load(bundle_dir)


def score(bundle: Bundle, reads: list[Read], **config: Any) -> list[ScoredReads]:
    return list(Scorer(bundle, config=EngineConfig(**config), keep_positions=True).score(reads))


def test_input_order_over_windows(bundle: Bundle) -> None:
    reads = mixed_reads()
    windows = score(bundle, reads, window_reads=7)
    assert [len(window.names) for window in windows] == [7] * 8 + [4]
    assert [name for window in windows for name in window.names] == [read.name for read in reads]
    lengths = [length for window in windows for length in window.lengths.tolist()]
    assert lengths == [len(read.codes) for read in reads]


@pytest.mark.parametrize(
    "config",
    [{"window_reads": 1}, {"window_bases": 500}, {"batch_bases": 1}, {"batch_bases": 400}],
)
def test_grouping_changes_nothing(bundle: Bundle, config: dict[str, int]) -> None:
    reads = mixed_reads()
    [whole] = score(bundle, reads)
    parts = score(bundle, reads, **config)
    for name in ("llr", "log_likelihood", "p_values", "gc"):
        grouped = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(grouped, getattr(whole, name), atol=1e-4)


def pieces_of(lengths: list[int], most: int, lead: int) -> list[tuple[int, int, int, int]]:
    cut = Pieces.of(np.array(lengths), most, lead)
    columns = (cut.starts, cut.lengths, cut.leads, cut.owners)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_pieces_by_hand() -> None:
    """Ten bases at most four at a time: 3, 3 and 4; the first has no lead."""
    expected = [
        (0, 3, 0, 0),
        (3, 3, 0, 1),
        (4, 5, 2, 1),
        (7, 6, 2, 1),
        (13, 1, 0, 2),
        (14, 4, 0, 3),
        (16, 6, 2, 3),
    ]
    assert pieces_of([3, 10, 1, 8], 4, 2) == expected
    assert pieces_of([3, 4], 4, 2) == [(0, 3, 0, 0), (3, 4, 0, 1)]
    assert pieces_of([8], 4, 100) == [(0, 4, 0, 0), (0, 8, 4, 0)]


@pytest.mark.parametrize("lead", [0, 60])
def test_long_sequences_are_scored_in_pieces(bundle: Bundle, lead: int) -> None:
    """Each piece as the end of a read that begins with its lead: sums add up, the rest are means."""
    long = uniform_codes(1000, 1)
    long[250:500] = UNKNOWN
    long[740] = UNKNOWN
    unknown = np.full(700, UNKNOWN, dtype=np.uint8)
    reads = [Read("short", uniform_codes(90, 2)), Read("long", long), Read("none", unknown)]
    [whole] = score(bundle, reads, piece_bases=300, lead_bases=lead)
    starts = [max(0, i - lead) for i in range(0, 1000, 250)]
    parts = [
        Read("part", long[start : i + 250]) for start, i in zip(starts, range(0, 1000, 250), strict=True)
    ]
    [alone] = score(bundle, parts)
    assert alone.positions is not None
    assert whole.positions is not None
    for name in ("log_p", "background_log_p", "codes", "scored"):
        expected = np.concatenate([getattr(part, name)[-250:] for part in alone.positions])
        np.testing.assert_allclose(getattr(whole.positions[1], name), expected, atol=1e-5)
        assert len(getattr(whole.positions[2], name)) == 700
    known = whole.positions[1].scored
    log_p, background_log_p = (
        getattr(whole.positions[1], name)[known].astype(np.float64) for name in ("log_p", "background_log_p")
    )
    assert whole.lengths.tolist() == [90, 1000, 700]
    assert whole.num_scored.tolist() == [90, 749, 0]
    assert whole.log_likelihood[1] == pytest.approx(log_p.sum(), rel=1e-5)
    assert whole.background_log_likelihood[1] == pytest.approx(background_log_p.sum(), rel=1e-5)
    assert whole.llr[1] == pytest.approx((log_p - background_log_p).sum(), rel=1e-4)
    assert whole.llr_per_base[1] == pytest.approx(whole.llr[1] / 749, rel=1e-5)
    assert whole.ood_scores["llr"][1] == -whole.llr_per_base[1]
    assert whole.gc[1] == pytest.approx(np.isin(long[long < UNKNOWN], (1, 2)).mean())
    assert np.isnan([whole.llr[2], whole.gc[2], whole.ood_scores["llr"][2], whole.p_values[2]]).all()
    assert whole.calls[2] == "na"
    [short] = score(bundle, reads[:1])
    assert whole.llr[0] == pytest.approx(short.llr[0], rel=1e-6)


@pytest.mark.parametrize("size", [1, 4, 9, 60])
def test_blocks_change_nothing(bundle: Bundle, size: int) -> None:
    reads = mixed_reads()
    config = EngineConfig(window_reads=7, window_bases=900)
    blocks = [ReadBlock.of(reads[i : i + size]) for i in range(0, len(reads), size)]
    windows = list(Scorer(bundle, config=config).score_blocks(blocks))
    expected = list(Scorer(bundle, config=config).score(reads))
    assert [window.names for window in windows] == [window.names for window in expected]
    for window, other in zip(windows, expected, strict=True):
        assert window.lengths.tolist() == other.lengths.tolist()
        assert window.llr.tolist() == other.llr.tolist()
        assert len(window.names) <= 7
        assert window.lengths.sum() <= 900


def test_window_is_bounded_in_bases(bundle: Bundle) -> None:
    for window in score(bundle, mixed_reads(), window_bases=400):
        assert window.lengths.sum() <= 400


def test_read_longer_than_a_window(bundle: Bundle) -> None:
    reads = [
        Read("a", uniform_codes(50, 1)),
        Read("long", uniform_codes(5000, 2)),
        Read("b", uniform_codes(50, 3)),
    ]
    windows = score(bundle, reads, window_bases=100, batch_bases=64)
    assert [window.names for window in windows] == [["a"], ["long"], ["b"]]
    assert windows[1].num_scored.tolist() == [5000]


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ({"window_reads": 1}, [2, 1, 2, 1, 2, 2]),
        ({"window_reads": 3}, [3, 3, 2, 2]),
        ({"window_reads": 4}, [3, 3, 4]),
        ({"window_bases": 100}, [3, 3, 2, 2]),
        ({"window_bases": 1}, [2, 1, 2, 1, 2, 2]),
    ],
)
def test_no_window_cuts_a_pair(bundle: Bundle, config: dict[str, int], sizes: list[int]) -> None:
    """The reads have 30 bases; of the first six, every third one is alone."""
    mates = [1, 2, 0, 1, 2, 0, 1, 2, 1, 2]
    reads = [Read(f"r{i - (mate == 2)}", uniform_codes(30, i), mate) for i, mate in enumerate(mates)]
    scorer = Scorer(bundle, config=EngineConfig(**config), paired=True)
    windows = list(scorer.score(reads))
    assert [len(window.names) for window in windows] == sizes
    for window in windows:
        joint = window.pair_p_values
        assert joint is not None
        for i, mate in enumerate(window.mates):
            assert joint[i] == (joint[i + 1] if mate == 1 else joint[i - 1] if mate else window.p_values[i])


def test_values_belong_together(bundle: Bundle) -> None:
    [scored] = score(bundle, mixed_reads())
    np.testing.assert_allclose(scored.llr, scored.log_likelihood - scored.background_log_likelihood)
    np.testing.assert_allclose(scored.llr_per_base, scored.llr / scored.num_scored)
    np.testing.assert_allclose(scored.ood_scores["llr"], -scored.llr_per_base, rtol=1e-5, atol=1e-7)
    assert scored.positions is not None
    for i, positions in enumerate(scored.positions):
        assert positions.log_p.sum(dtype=np.float64) == pytest.approx(scored.log_likelihood[i])
        assert len(positions.codes) == scored.lengths[i]


def test_gc_and_unknown_bases(bundle: Bundle) -> None:
    [scored] = score(bundle, [Read("half", encode("ACGTNNNN")), Read("strong", encode("ggcn"))])
    assert scored.gc.tolist() == [0.5, 1.0]
    assert scored.lengths.tolist() == [8, 4]
    assert scored.num_scored.tolist() == [4, 3]


def test_nothing_to_score(bundle: Bundle) -> None:
    [scored] = score(bundle, [Read("n", encode("NNNN")), Read("a", encode("ACGT"))])
    assert scored.calls[0] == "na"
    assert scored.num_scored.tolist() == [0, 4]
    for values in (scored.gc, scored.log_likelihood, scored.llr, scored.llr_per_base, scored.p_values):
        assert math.isnan(values[0])
        assert not math.isnan(values[1])


def test_the_model_is_not_run_on_nothing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of reads of N only; what is beside them is scored as without them."""
    num_bases: list[int] = []

    def counted(*arguments: Any, **named: Any) -> ScoreBatch:
        num_bases.append(arguments[1].size)
        return forward(*arguments, **named)

    monkeypatch.setattr("genood.engine.forward", counted)
    unknown = [Read(f"n{i}", np.full(50, 4, dtype=np.uint8)) for i in range(30)]
    [scored] = score(bundle, unknown)
    assert num_bases == []
    assert set(scored.calls) == {"na"}
    assert scored.positions is not None
    assert [(len(p.codes), p.scored.any(), p.log_p.any()) for p in scored.positions] == [(50, 0, 0)] * 30
    for known in (mixed_reads(30), [Read(f"r{i}", uniform_codes(50, i)) for i in range(30)]):
        num_bases.clear()
        mixture = [read for pair in zip(unknown, known, strict=True) for read in pair]
        [scored] = score(bundle, mixture)
        [alone] = score(bundle, known)
        assert num_bases[: len(num_bases) // 2] == num_bases[len(num_bases) // 2 :]
        assert scored.names == [read.name for read in mixture]
        assert scored.llr[1::2].tolist() == alone.llr.tolist()
        assert np.isnan(scored.llr[::2]).all()
        assert scored.positions is not None
        assert [p.codes.tolist() for p in scored.positions] == [read.codes.tolist() for read in mixture]


def test_calls_follow_alpha(bundle: Bundle) -> None:
    [scored] = score(bundle, mixed_reads(), alpha=0.5)
    assert {"in", "ood"} == set(scored.calls)
    for p_value, call in zip(scored.p_values, scored.calls, strict=True):
        assert call == ("ood" if p_value <= 0.5 else "in")


def test_calls_are_those_of_the_table() -> None:
    """A p-value that six digits bring to the level is called, as who reads the table would."""
    p_values = np.array([1 / 2001, 0.000499755, 0.00049974, 0.5, np.nan])
    assert calls_at(0.00049975, p_values) == ["ood", "in", "ood", "in", "na"]
    assert calls_at(-1.0, p_values) == ["in"] * 4 + ["na"]


def test_no_reads(bundle: Bundle) -> None:
    assert score(bundle, []) == []


def test_a_reader_that_fails_reaches_the_caller(bundle: Bundle) -> None:
    def broken():
        yield Read("a", encode("ACGT"))
        raise RuntimeError("reader")

    with pytest.raises(RuntimeError, match="reader"):
        list(Scorer(bundle).score(broken()))


@pytest.mark.parametrize("detectors", [("nope",), (), ("llr", "llr")])
def test_unknown_detectors(bundle: Bundle, detectors: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="detectors must be different ones of llr, likelihood"):
        Scorer(bundle, detectors=detectors)


def test_detector_that_the_bundle_does_not_serve(bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(bundle_dir)
    monkeypatch.setattr(DETECTORS["likelihood"], "needs", frozenset({"features"}))
    with pytest.raises(ConfigError, match="'likelihood' needs a bundle of a single classifier"):
        Scorer(bundle, detectors=["llr", "likelihood"])


class Fitted(Likelihood):
    """The likelihood less what `fit` was given."""

    requires_fit = True
    level = 0.0

    def fit(self, batches: Iterable[ScoreBatch]) -> Fitted:
        for _ in range(2):
            scores = [super(Fitted, self).score(batch) for batch in batches]
        self.level = float(np.concatenate(scores).mean())
        return self

    def state(self) -> dict[str, Any]:
        return {"level": np.array([self.level])}

    def load_state(self, state: Mapping[str, Any]) -> Fitted:
        self.level = float(state["level"][0])
        return self

    def score(self, batch: ScoreBatch) -> Any:
        return super().score(batch) - np.float32(self.level)


def test_fitted_detectors_take_their_state_from_the_bundle(
    bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(bundle_dir)
    [plain] = Scorer(bundle, detectors=["likelihood"]).score(mixed_reads(5))
    monkeypatch.setitem(DETECTORS._targets, "likelihood", f"{__name__}:Fitted")
    with pytest.raises(BundleError, match="holds no fitted 'likelihood'; train it again"):
        Scorer(bundle, detectors=["likelihood"])
    bundle.detectors = {"likelihood/level": np.array([0.5]), "llr/level": np.array([7.0])}
    [scored] = Scorer(bundle, detectors=["likelihood"]).score(mixed_reads(5))
    np.testing.assert_allclose(
        scored.ood_scores["likelihood"], plain.ood_scores["likelihood"] - 0.5, atol=1e-6
    )


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        EngineConfig(alpha=alpha)


def block_with_records(kinds: str, number: int) -> ReadBlock:
    """A read for each ``r`` of `kinds`; all are its records, named by their number."""
    rows = [row for row, kind in enumerate(kinds) if kind == "r"]
    items = [SequenceRecord(f"{number}.{row}", "ACGT") for row in range(len(kinds))]
    return ReadBlock(
        names=[items[row].name for row in rows],
        mates=[0] * len(rows),
        lengths=np.full(len(rows), 4, dtype=np.int64),
        codes=np.concatenate([np.empty(0, dtype=np.uint8), *[encode("ACGT")] * len(rows)]),
        records=Records(items=items, rows=np.array(rows, dtype=np.int64), keeps_others=True),
    )


@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_records_come_with_their_reads(bundle: Bundle, limit: int, overlap: int) -> None:
    """However many other records there are, and however windows are cut."""
    blocks = [
        block_with_records(kinds, i) for i, kinds in enumerate(["xxx", "rr", "xrxxr", "xxx", "xx", "rx"])
    ]
    config = EngineConfig(window_reads=limit, overlap=overlap)
    windows = list(Scorer(bundle, config=config).score_blocks(blocks))
    kept = [window.records for window in windows if window.records is not None]
    assert len(kept) == len(windows)
    for window, records in zip(windows, kept, strict=True):
        assert [item.name for item in records.reads()] == window.names
        assert len(records.items) <= max(limit, 3) + 3
    names = [item.name for records in kept for item in records.items]
    assert names == [
        item.name for block in blocks if block.records is not None for item in block.records.items
    ]


@pytest.mark.parametrize(
    ("overlap", "lengths", "expected"),
    [
        (0, [100, 100], {3}),
        (1, [100, 100], {3}),  # torch shares each operation among them
        (2, [100, 100, 100], {1}),
        (2, [100, 700, 100], {1, 3}),  # more than a window: the others may have nothing to do
    ],
)
def test_threads_for_each_window(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    overlap: int,
    lengths: list[int],
    expected: set[int],
) -> None:
    monkeypatch.setattr(threads, "_chosen", 3)
    seen = set()

    def spied(*given: Any, **named: Any) -> ScoreBatch:
        seen.add(threads.num_threads())
        return forward(*given, **named)

    monkeypatch.setattr("genood.engine.forward", spied)
    reads = [Read(f"r{i}", uniform_codes(length, i)) for i, length in enumerate(lengths)]
    score(bundle, reads, overlap=overlap, window_bases=500, window_reads=1)
    assert seen == expected


@pytest.mark.parametrize(("num_threads", "windows"), [(1, 0), (2, 2), (12, 12), (200, 16)])
def test_compiled_models_score_windows_side_by_side(bundle: Bundle, num_threads: int, windows: int) -> None:
    assert EngineConfig.suiting(chains(bundle), alpha=0.05, num_threads=num_threads).overlap == windows
    assert EngineConfig.suiting(bundle, alpha=0.05, num_threads=num_threads).overlap == min(windows, 1)


def test_a_window_that_nobody_wants_is_not_finished(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two windows, half as large, fails while the second, of two hundred batches, is at work."""
    second_is_at_work = Event()
    asked: list[int] = []

    def log_probs(codes: Codes, *others: Any) -> Any:
        if codes.shape[1] == 30:
            assert second_is_at_work.wait(10)
            raise ValueError("the first")
        second_is_at_work.set()
        asked.append(codes.shape[1])
        time.sleep(0.01)
        return original(codes, *others)

    original = bundle.log_probs
    monkeypatch.setattr(bundle, "log_probs", log_probs)
    reads = [Read(f"r{i}", uniform_codes(30 if i < 100 else 20, i)) for i in range(300)]
    with pytest.raises(ValueError, match="the first"):
        score(bundle, reads, window_reads=200, batch_bases=1, overlap=2)
    assert 0 < len(asked) < 100


def test_pieces_change_little_of_an_lstm(bundle: Bundle) -> None:
    """They are several rows of a batch."""
    config = EngineConfig.suiting(bundle, alpha=0.05, num_threads=1)
    assert config.piece_bases is not None
    assert config.batch_bases >= 8 * (config.piece_bases + config.lead_bases)
    reads = [Read("long", uniform_codes(6000, 9))]
    [whole], [pieces] = (score(bundle, reads, piece_bases=most) for most in (None, 2000))
    assert whole.positions is not None
    assert pieces.positions is not None
    np.testing.assert_allclose(whole.positions[0].log_p, pieces.positions[0].log_p, atol=1e-4)
    np.testing.assert_allclose(whole.llr, pieces.llr, atol=1e-2)


def test_pieces_change_nothing_of_a_chain(bundle: Bundle) -> None:
    """Its contexts are shorter than what is read before a piece."""
    reads = [Read("long", uniform_codes(5000, 9)), Read("short", uniform_codes(90, 8))]
    [whole], [pieces] = (score(chains(bundle), reads, piece_bases=most) for most in (None, 700))
    assert whole.positions is not None
    assert pieces.positions is not None
    for one, other in zip(whole.positions, pieces.positions, strict=True):
        np.testing.assert_array_equal(one.log_p, other.log_p)
        np.testing.assert_array_equal(one.background_log_p, other.background_log_p)
    np.testing.assert_allclose(whole.llr, pieces.llr, rtol=1e-6)
