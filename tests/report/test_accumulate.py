"""What is counted of a run, against the same by hand and by other means."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from genood.calibration import NullDistribution, ood_fraction, p_value_counts
from genood.report.accumulate import RunAccumulator, ScoreColumns, gc_places
from genood.report.agreement import DetectorCounts
from genood.report.charts import gc_rows, length_bins
from genood.report.top import foremost
from genood.rounding import as_in_table

LEVELS = np.linspace(0, 1, 101)
NULL = NullDistribution(
    lengths=(100, 400),
    num_independent=(99.0, 49.0),
    levels=LEVELS,
    quantiles=np.stack([LEVELS, LEVELS + 1.0]),
)
"""In-distribution scores are uniform: from 0 to 1 at 100 bases, from 1 to 2 at 400."""


def columns_of(num_reads: int, seed: int = 1) -> ScoreColumns:
    generator = np.random.default_rng(seed)
    lengths = generator.choice([30, 100, 150, 400, 5000], num_reads)
    scores = generator.uniform(-1, 3, num_reads)
    p_values = np.round(NULL.p_values(scores, lengths), 6)
    unscored = generator.random(num_reads) < 0.05
    scores[unscored] = p_values[unscored] = np.nan
    calls = np.where(unscored, 2, np.where(p_values <= 0.05, 1, 0))
    return ScoreColumns(
        names=[f"r{i}" for i in range(num_reads)],
        mates=np.arange(num_reads) % 3,
        lengths=lengths,
        num_scored=np.where(unscored, 0, lengths),
        gc=np.where(unscored, np.nan, generator.uniform(0, 1, num_reads)),
        llr_per_base=-scores,
        ood_scores=scores,
        p_values=p_values,
        calls=calls,
        others={"likelihood": scores + generator.uniform(0, 1, num_reads)},
        classes=np.where(unscored, "", generator.choice(["A", "B", "C"], num_reads)).tolist(),
    )


def part(columns: ScoreColumns, rows: slice) -> ScoreColumns:
    cut = {name: values[rows] for name, values in vars(columns).items() if name != "others"}
    others = {name: scores[rows] for name, scores in columns.others.items()}
    return ScoreColumns(**cut, others=others)


def facts(counts: RunAccumulator) -> list[object]:
    """All that can be asked of a run."""
    bins = counts.score_bins(60, 0.01)
    assert bins is not None
    expected = counts.null_counts(bins.edges)
    assert expected is not None
    arrays = (counts.call_counts, counts.p_value_counts, counts.num_at_most, counts.length_counts)
    return [
        counts.num_reads,
        counts.num_bases,
        counts.gc,
        counts.fraction(),
        counts.largest_called,
        counts.top_reads,
        [counts.score_quantile(level) for level in (0.1, 0.5, 0.9)],
        *(array.tolist() for array in (*arrays, bins.edges, bins.counts, expected)),
        *([name, counts.classes.calls(name).tolist()] for name in counts.classes.names),
        *_facts_of_other(counts.detectors["likelihood"]),
    ]


def _facts_of_other(counts: DetectorCounts) -> list[object]:
    grid = counts.grid(40, 0.01)
    assert grid is not None
    found: list[object] = [array.tolist() for array in (*grid, counts.both)]
    return [*found, counts.rank_correlation(), counts.score_quantile(0.5)]


def test_pieces_and_merging_do_not_matter() -> None:
    columns = columns_of(3000)
    whole, pieces, first, second = (RunAccumulator(NULL, other_nulls={"likelihood": NULL}) for _ in range(4))
    whole.add(columns)
    for start in range(0, 3000, 7):
        pieces.add(part(columns, slice(start, start + 7)))
    first.add(part(columns, slice(0, 1234)))
    second.add(part(columns, slice(1234, 3000)))
    first.merge(second)
    for other in (pieces, first):
        for one, value in zip(facts(whole), facts(other), strict=True):
            if isinstance(one, float | tuple):
                assert value == pytest.approx(one)
            else:
                assert value == one


def test_counts_by_other_means() -> None:
    columns = columns_of(3000)
    counts = RunAccumulator(NULL)
    counts.add(columns)
    known = ~np.isnan(columns.p_values)
    p_values = columns.p_values[known]
    assert counts.num_p_values == known.sum()
    assert counts.call_counts.tolist() == [int((columns.calls == call).sum()) for call in range(3)]
    null_reads = 1 / np.mean(1 / NULL.independent_reads(columns.num_scored[known]))
    above = (int((p_values > 0.5).sum()), int((p_values > 0.8).sum()))
    by_mate = [int((columns.mates[known] == mate).sum()) for mate in range(3)]
    expected = ood_fraction(len(p_values), above, null_reads, num_fragments=by_mate[0] + max(by_mate[1:]))
    assert counts.fraction() == pytest.approx(expected)
    assert counts.largest_called == p_values[p_values <= 0.05].max()
    order = np.lexsort((np.arange(3000), -columns.ood_scores, columns.p_values))
    assert [read.row for read in counts.top_reads] == order[:20].tolist()
    assert not counts.null_differs


def test_top_reads_by_hand() -> None:
    """Three have the smallest p-value; of those the scores decide, of the two equal ones their order."""
    p_values = np.array([0.5, 0.01, 0.01, np.nan, 0.01, 0.02])
    scores = np.array([9.0, 1.0, 2.0, 9.0, 2.0, 9.0])
    assert foremost(p_values, scores, 4).tolist() == [2, 4, 1, 5]
    assert foremost(p_values, scores, 2).tolist() == [2, 4]
    assert foremost(p_values, scores, 9).tolist() == [2, 4, 1, 5, 0]
    assert foremost(p_values, scores, 0).tolist() == []
    assert foremost(p_values[3:4], scores[3:4], 3).tolist() == []


def test_bins_of_p_values_hold_their_upper_edge() -> None:
    """In bins of 0.025: 0.05 is in the second, so that the first two have what is called at 0.05."""
    counts = p_value_counts(np.array([0.0, 0.025, 0.05, 0.0501, 0.5, 0.500001, 1.0]))
    assert np.flatnonzero(counts).tolist() == [0, 1, 2, 19, 20, 39]
    assert counts[0] == 2


def test_bins_of_gc() -> None:
    assert gc_places(np.array([0.0, 0.0199, 0.02, 0.999, 1.0, np.nan])).tolist() == [0, 0, 1, 49, 49, 50]


def test_bins_of_gc_hold_their_lower_edge() -> None:
    """The product of 0.58 and 50 is less than 29: of reads of 50 bases one bin would have none."""
    gc = as_in_table(np.arange(51) / 50)
    assert gc_places(gc).tolist() == [*range(50), 49]


@pytest.mark.parametrize("longest", [1500, 6000, 100_000])
def test_lengths_are_in_the_bin_whose_edges_are_shown(longest: int) -> None:
    columns = columns_of(longest)
    counts = RunAccumulator()
    counts.add(replace(columns, lengths=np.arange(1, longest + 1)))
    found = length_bins(counts)
    assert found is not None
    edges, numbers, is_log = found
    assert is_log
    assert (edges == np.floor(edges)).all()
    # The last bin ends where the longest reads do.
    expected, _ = np.histogram(np.arange(1, longest + 1), edges)
    assert numbers.sum(axis=1)[:-1].tolist() == expected[:-1].tolist()


def test_medians_by_gc_are_as_exact_as_other_quantiles() -> None:
    """Within 1/2,048 of the range, however wide the bars are."""
    columns = columns_of(3000)
    counts = RunAccumulator()
    counts.add(columns)
    places = gc_places(columns.gc)
    for row in gc_rows(counts):
        scores = columns.ood_scores[places == int(row["gc"] * 50)]
        assert row["n"] == len(scores)
        median = np.quantile(scores, 0.5, method="inverted_cdf")
        assert row["median"] == pytest.approx(median, abs=4 / 2048)


def test_expected_scores_by_hand() -> None:
    """Of 10 reads of 100 bases each quarter of [0, 1] has 2.5; of one of 200 bases, half of either null."""
    counts = RunAccumulator(NULL)
    columns = columns_of(11)
    lengths = np.array([100] * 10 + [200])
    scored = {"lengths": lengths, "num_scored": lengths, "p_values": np.full(11, 0.5)}
    counts.add(ScoreColumns(**{**vars(columns), **scored, "calls": np.zeros(11, dtype=np.int64)}))
    expected = counts.null_counts(np.array([-5.0, 0.25, 0.5, 1.0, 1.5, 9.0]))
    assert expected is not None
    by_hand = [2.5 + 0.125, 2.5 + 0.125, 5 + 0.25, 0.25, 0.25]
    assert expected.tolist() == pytest.approx(by_hand, abs=1e-4)
    assert expected.sum() == pytest.approx(11)


def test_null_of_another_bundle_is_noticed() -> None:
    columns = columns_of(200)
    other = NullDistribution(
        lengths=(100,), num_independent=(99.0,), levels=LEVELS, quantiles=LEVELS[None] * 2
    )
    counts = RunAccumulator(other)
    counts.add(columns)
    assert counts.null_differs


def test_nothing() -> None:
    counts = RunAccumulator(NULL)
    counts.add(part(columns_of(3), slice(0, 0)))
    assert counts.fraction() is None
    assert math.isnan(counts.gc)
    assert math.isnan(counts.largest_called)
    assert counts.score_bins(10, 0.0) is None
    assert counts.null_counts(np.array([0.0, 1.0])) is None
    assert counts.top_reads == []
