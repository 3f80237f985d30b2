"""Foreign stretches of sequences."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_sequences import NULL, sequence

from genood.detectors import DETECTORS
from genood.errors import ConfigError
from genood.stretches.regions import Region, RegionFinder, change_point, maximal_segments, num_called
from genood.stretches.scores import StretchScorer

SCORER = StretchScorer(DETECTORS["llr"](), NULL)
HOME, FOREIGN, UNKNOWN = 0.8, -1.2, math.nan


def blocks(*parts: tuple[float, int]) -> list[float]:
    return [value for value, count in parts for _ in range(count)]


def find(llr: list[float], size: int = 10, fdr: float = 0.05) -> list[Region]:
    read = sequence(llr)
    return RegionFinder(SCORER, fdr).find("read", read, SCORER.windows([read], size)[0])


def places(regions: list[Region]) -> list[tuple[int, int]]:
    return [(region.start, region.end) for region in regions]


def test_by_hand() -> None:
    """Bases 23 to 67 of 120 are foreign.

    The windows from 30 to 60 score 1.2, above all of the null: p = 1/200. Those at 20 and 60 score 0.6,
    which gives p = (199 x 0.2 + 1) / 200 = 0.204 and speaks against. So the candidate has 30 of 120
    bases, 2 x 120 / 30 - 1 = 7 places, and E = 7/200 = 0.035; its ends then move to where the mean changes.
    """
    (region,) = find(blocks((HOME, 23), (FOREIGN, 44), (HOME, 53)))
    assert (region.start, region.end, region.num_scored) == (23, 67, 44)
    assert region.llr_per_base == pytest.approx(-1.2)
    assert region.p_value == pytest.approx(0.005)
    assert region.expected_false == pytest.approx(0.035)


def test_level() -> None:
    llr = blocks((HOME, 23), (FOREIGN, 44), (HOME, 53))
    assert len(find(llr, fdr=0.0351)) == 1
    assert find(llr, fdr=0.0349) == []


def test_in_distribution() -> None:
    assert find([HOME] * 300) == []


def test_foreign_all_along() -> None:
    (region,) = find([FOREIGN] * 57)
    assert (region.start, region.end, region.expected_false) == (0, 57, pytest.approx(0.005))


def test_shorter_than_a_window() -> None:
    assert places(find([FOREIGN] * 7)) == [(0, 7)]
    assert find([HOME] * 7) == []
    assert find([]) == []


def test_at_the_ends() -> None:
    """Each has 20 of 80 bases, 7 places, E = 0.035."""
    assert places(find(blocks((FOREIGN, 20), (HOME, 40), (FOREIGN, 20)))) == [(0, 20), (60, 80)]


def test_head_and_tail_of_less_than_a_window() -> None:
    """Windows of 20 with 3 bases at 0.8 and 17 at -1.2 score 0.9: p = (199 x 0.05 + 1) / 200 = 0.05475.

    So all of the sequence is a candidate. Among the 30 bases of the half that is searched the change
    explains 3 x 27 / 30 x 2^2 of squares, and nothing is left; the three alone have p = 0.9005.
    """
    (region,) = find(blocks((HOME, 3), (FOREIGN, 54), (HOME, 3)), size=20)
    assert (region.start, region.end, region.num_scored) == (3, 57, 54)
    assert region.llr_per_base == pytest.approx(-1.2)


def test_head_and_tail_at_unknown_bases() -> None:
    island = ((HOME, 3), (FOREIGN, 54), (HOME, 3))
    llr = blocks((HOME, 40), (UNKNOWN, 20), *island, (UNKNOWN, 20), (HOME, 40))
    assert places(find(llr, size=20, fdr=0.1)) == [(63, 117)]


def test_one_window_may_be_too_little_to_find_a_head() -> None:
    """Of 10 bases, the first at 0.8: 10 log(1 + 0.36 / 1e-6) = 128; of 20: 20 log(1 + 0.19 / 1e-6) = 243."""
    assert places(find(blocks((HOME, 1), (FOREIGN, 58), (HOME, 1)))) == [(1, 59)]
    assert places(find(blocks((HOME, 1), (FOREIGN, 19)))) == [(0, 20)]


def test_head_in_a_sequence_of_one_window() -> None:
    assert places(find(blocks((HOME, 3), (FOREIGN, 26)), size=20)) == [(3, 29)]


def test_little_evidence_moves_no_end_of_a_sequence() -> None:
    """Three bases at 0.8, and 37 at -2.2 and -0.2 in turn: some 40 log(1 + 3 x 37 / 40 x 2^2 / 37) = 10.5."""
    llr = [HOME] * 3 + [-2.2, -0.2] * 48 + [FOREIGN]
    assert places(find(llr, size=20)) == [(0, 100)]
    assert places(find(llr[::-1], size=20)) == [(0, 100)]


def test_a_head_less_foreign_than_the_rest_stays() -> None:
    """Beside 1.2 its scores of 0.95 are another mean, but by themselves they have p = 0.0299."""
    llr = blocks((-0.95, 10), (FOREIGN, 50))
    assert places(find(llr, size=20)) == [(0, 60)]
    assert places(find(llr[::-1], size=20)) == [(0, 60)]


def test_one_helps_another() -> None:
    """One of 20 in 160 bases has E = 15/200 = 0.075: too much alone, but not for one of two."""
    assert find(blocks((HOME, 40), (FOREIGN, 20), (HOME, 100))) == []
    two = blocks((HOME, 40), (FOREIGN, 20), (HOME, 40), (FOREIGN, 20), (HOME, 40))
    assert places(find(two)) == [(40, 60), (100, 120)]


def test_a_weak_window_does_not_part_a_stretch() -> None:
    """A window at 0 has p = 0.5025 and scores log(0.08 / 0.5025) = -1.84; those beside it log(16) = 2.77.

    All five score 0.96, so that p = (199 x 0.02 + 1) / 200 = 0.0249, in 2 x 130 / 50 - 1 = 4.2 places.
    """
    (region,) = find(blocks((HOME, 40), (FOREIGN, 20), (0.0, 10), (FOREIGN, 20), (HOME, 40)), fdr=0.11)
    assert (region.start, region.end) == (40, 90)
    assert region.p_value == pytest.approx(0.0249, rel=1e-4)
    assert region.expected_false == pytest.approx(0.10458, rel=1e-4)


def test_unknown_bases_inside_belong_to_the_region() -> None:
    llr = blocks((HOME, 43), (FOREIGN, 20), (UNKNOWN, 5), (FOREIGN, 20), (HOME, 42))
    (region,) = find(llr)
    assert (region.start, region.end, region.num_scored) == (43, 88, 40)


def test_regions_end_at_scored_bases() -> None:
    llr = blocks((UNKNOWN, 3), (FOREIGN, 24), (UNKNOWN, 13), (HOME, 60))
    assert places(find(llr)) == [(3, 27)]


def test_a_window_without_a_scored_base_parts_stretches() -> None:
    llr = blocks((HOME, 40), (FOREIGN, 30), (UNKNOWN, 10), (FOREIGN, 30), (HOME, 40))
    assert places(find(llr)) == [(40, 70), (80, 110)]
    assert find([UNKNOWN] * 50) == []


def test_neighbours_stay_apart() -> None:
    """Two windows with p = 0.02 score log(4) = 1.39 each, that between them log(0.08 / 0.85) = -2.4.

    Their E is 0.02 (220 / 10 - 1) = 0.42. Each end moves within its half of the window between.
    """
    llr = blocks((HOME, 40), (-0.97, 13), (4 * HOME, 4), (-0.97, 13), (HOME, 40))
    assert places(find(llr, fdr=0.3)) == [(40, 53), (57, 70)]


def test_no_warning_where_a_call_is_possible(caplog: pytest.LogCaptureFixture) -> None:
    find([HOME] * 300)
    assert caplog.messages == []


def test_warns_once_where_the_null_is_too_small(caplog: pytest.LogCaptureFixture) -> None:
    """A stretch of 20 windows, 200 of 4,000 bases, has 39 places and at least E = 39/200.

    For E = 0.05 it may have 10 places: 8,000 / 11 = 727 bases, in steps of 3 %, to two digits.
    """
    read = sequence([HOME] * 4000)
    finder = RegionFinder(SCORER, 0.05)
    for name in ("one", "two"):
        with caplog.at_level(logging.WARNING):
            assert finder.find(name, read, SCORER.windows([read], 10)[0]) == []
    assert caplog.messages == [
        "one: a single foreign stretch of less than 730 bases would not be called, whatever it is: a null "
        "of 199 reads gives no p-value small enough for a sequence of 4,000 bases; genood calibrate with "
        "more reads helps, or a higher --regions-fdr"
    ]


def test_warns_where_nothing_can_be_called(caplog: pytest.LogCaptureFixture) -> None:
    find([HOME] * 30, fdr=0.001)
    assert caplog.messages[0].startswith("read: a single foreign stretch would not be called")


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_levels(level: float) -> None:
    with pytest.raises(ConfigError, match="error level of regions must lie between 0 and 1"):
        RegionFinder(SCORER, level)


@pytest.mark.parametrize(
    ("expected", "number"),
    [([], 0), ([0.05], 1), ([0.051], 0), ([0.2, 0.04, 0.09], 2), ([0.15, 0.15, 0.15], 3), ([0.06, 0.2], 0)],
)
def test_number_called(expected: list[float], number: int) -> None:
    assert num_called(np.array(expected), 0.05) == number


def test_maximal_segments_by_hand() -> None:
    """7 is the largest sum, of the last seven; what is left holds 4 and 3, which gain nothing together."""
    scores = np.array([4, -5, 3, -3, 1, 2, -2, 2, -2, 1, 5.0])
    assert maximal_segments(scores) == [(0, 1), (2, 3), (4, 11)]
    assert maximal_segments(np.array([-1.0, 0.0, -2.0])) == []
    assert maximal_segments(np.array([])) == []


def by_definition(scores: list[float], start: int = 0) -> list[tuple[int, int]]:
    """The segment of the largest sum, and what the definition gives for what is left on either side."""
    sums = {(i, j): sum(scores[i:j]) for i in range(len(scores)) for j in range(i + 1, len(scores) + 1)}
    if not sums or max(sums.values()) <= 0:
        return []
    i, j = max(sums, key=lambda place: sums[place])
    left, right = by_definition(scores[:i], start), by_definition(scores[j:], start + j)
    return [*left, (start + i, start + j), *right]


@given(st.integers(0, 10_000), st.integers(0, 25))
def test_maximal_segments_as_defined(seed: int, number: int) -> None:
    scores = np.random.default_rng(seed).normal(-0.2, 1.0, number)
    assert maximal_segments(scores) == by_definition(scores.tolist())


def test_many_windows_take_little() -> None:
    """Each segment starts lower than all before it: to look at all of those would take hours."""
    segments = maximal_segments(np.tile([1.0, -2.0], 500_000))
    assert (len(segments), segments[-1]) == (500_000, (999_998, 999_999))


def test_many_windows_beside_a_strong_one_take_little() -> None:
    """No segment merges with the first or gets done: to look at all before each would take minutes."""
    number = 200_000
    segments = maximal_segments(np.array([2.0 * number, *[1.0, -1.5] * number]))
    assert segments == [(0, 2), *((i, i + 1) for i in range(3, 2 * number, 2))]


def test_change_point_by_hand() -> None:
    """Splits of 0 1 3 4 after 1, 2 or 3 explain 3 (8/3)^2 / 4, 4 x 3^2 / 4 and 3 (8/3)^2 / 4 of 10."""
    before, evidence = change_point(np.array([0.0, 1.0, 3.0, 4.0]))
    assert (before, evidence) == (2, pytest.approx(4 * math.log(10 / 1), rel=1e-5))
    before, evidence = change_point(np.array([0.0, 0.0, 0.0, 1.0, 1.0]))
    assert (before, evidence > 50) == (3, True)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0], [2.0, 1.0, 0.0]])
def test_no_rise(values: list[float]) -> None:
    assert change_point(np.array(values)) == (0, 0.0)


def test_rounding_is_no_evidence() -> None:
    """A step of 1e-7 explains all of the squares."""
    values = 0.1 + 1e-7 * (np.arange(10_000) >= 5_000)
    assert change_point(values)[1] < 0.01


@given(
    parts=st.lists(st.tuples(st.sampled_from([HOME, FOREIGN, UNKNOWN]), st.integers(1, 60)), max_size=12),
    noise=st.floats(0, 1),
    size=st.integers(1, 40),
    fdr=st.sampled_from([0.05, 0.5, 0.99]),
    seed=st.integers(0, 99),
)
def test_regions_are_disjoint_and_in_order(
    parts: list[tuple[float, int]], noise: float, size: int, fdr: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    llr = np.array(blocks(*parts))
    llr = llr + noise * generator.normal(size=len(llr))
    regions = find(llr.tolist(), size, fdr)
    ends = [0]
    for region in regions:
        assert ends[-1] <= region.start < region.end <= len(llr)
        assert np.isfinite(llr[[region.start, region.end - 1]]).all()
        inside = llr[region.start : region.end]
        assert region.num_scored == np.isfinite(inside).sum()
        assert region.llr_per_base == pytest.approx(np.nanmean(inside), abs=1e-4)
        assert 0 < region.p_value <= 1
        assert region.p_value <= region.expected_false <= fdr * len(regions)
        ends.append(region.end)
