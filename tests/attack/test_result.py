"""What an attack is reported to have done, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from toys import context_model, uniform_codes

from genood.attack.curves import CurvePoint, attacked_reads, curve_of, match_point
from genood.attack.reads import random_reads
from genood.attack.result import COLUMNS, Attacked, edits_text
from genood.attack.search import Edit, Trajectory
from genood.bundle import Bundle
from genood.detectors.likelihood import Likelihood
from genood.metrics import Separation

TRAJECTORIES = [
    Trajectory(edits=[Edit(5, 0), Edit(2, 3)], distances=[4.0, 2.0, 1.0], percentage_errors=[0.4, 0.2, 0.1]),
    Trajectory(edits=[], distances=[3.0], percentage_errors=[np.inf]),
    Trajectory(edits=[Edit(1, 1)], distances=[2.0, 0.5], percentage_errors=[0.3, 0.1]),
]


def test_match_points_by_hand() -> None:
    at_one = match_point(0.1, TRAJECTORIES[::2], [1, 1], spread=2.0, near=1.0)
    assert (at_one.mape, at_one.median_mape) == (pytest.approx(0.15), pytest.approx(0.15))
    assert at_one.distance == pytest.approx((2.0 + 0.5) / 2 / 2)
    assert (at_one.success, at_one.edits, at_one.edits_needed) == (0.5, 1.0, 1.0)
    at_two = match_point(0.2, TRAJECTORIES[::2], [2, 2], spread=2.0, near=1.0)
    assert (at_two.success, at_two.edits, at_two.edits_needed) == (1.0, 1.5, 1.5)
    none = match_point(0.0, TRAJECTORIES, [0, 0, 0], spread=2.0, near=1.0)
    assert (none.success, none.edits, none.edits_needed) == (0.0, 0.0, None)
    assert (none.mape, none.median_mape) == (None, pytest.approx(0.4))


def test_attacked_reads_have_the_first_edits() -> None:
    codes = [np.full(6, 2, dtype=np.uint8)] * 3
    assert [read.tolist() for read in attacked_reads(codes, TRAJECTORIES, [1, 1, 1])] == [
        [2, 2, 2, 2, 2, 0],
        [2] * 6,
        [2, 1, 2, 2, 2, 2],
    ]
    assert attacked_reads(codes, TRAJECTORIES, [9, 9, 9])[0].tolist() == [2, 2, 3, 2, 2, 0]
    assert codes[0].tolist() == [2] * 6


def test_curve_of_a_bundle() -> None:
    """The reference itself against random reads, and against itself."""
    genome = uniform_codes(4000, 1)
    bundle = Bundle(
        foreground=context_model(A=genome),
        background=None,
        metadata={"background": "low-order"},
        calibration={},
    )
    known = [genome[start : start + 100] for start in range(0, 3000, 300)]
    foreign = [uniform_codes(100, seed) for seed in range(2, 12)]
    points = curve_of(bundle, 3, {"likelihood": Likelihood()}, known, {0.0: foreign, 0.5: known})
    assert [(point.epsilon, point.bundle, point.detector) for point in points] == [
        (0.0, 3, "likelihood"),
        (0.5, 3, "likelihood"),
    ]
    assert [point.separation.auroc for point in points] == [1.0, 0.5]
    assert points[0].mean_score > points[1].mean_score


def test_edits_are_counted_from_one() -> None:
    assert edits_text("acgRTA", TRAJECTORIES[0].edits) == ["3:G>T", "6:A>A"]


@pytest.fixture
def attacked() -> Attacked:
    matches = [
        match_point(epsilon, TRAJECTORIES, [number] * 3, spread=2.0, near=1.0)
        for epsilon, number in ((0.0, 0), (0.1, 1))
    ]
    curve = [
        CurvePoint(
            epsilon=epsilon,
            bundle=bundle,
            detector="llr",
            separation=Separation(auroc=auroc, auprc=0.9, fpr80=0.1),
            mean_score=1.5,
        )
        for epsilon, aurocs in ((0.0, (0.95, 0.8)), (0.1, (0.5, 0.75)))
        for bundle, auroc in enumerate(aurocs)
    ]
    return Attacked(
        about={"tool": "genood"},
        labels=["one", "two"],
        kinds=["lstm", "context"],
        objective="the likelihood",
        reads=random_reads(3, 6, (0, 0)),
        targets=["a", "b", "a"],
        trajectories=TRAJECTORIES,
        curve=curve,
        matches=matches,
    )


def test_table(attacked: Attacked) -> None:
    header, *rows = (line.split("\t") for line in attacked.table().splitlines())
    assert tuple(header) == COLUMNS
    assert [dict(zip(header, row, strict=True))["auroc"] for row in rows] == ["0.95", "0.8", "0.5", "0.75"]
    last = dict(zip(header, rows[-1], strict=True))
    assert (last["epsilon"], last["bundle"], last["kind"], last["attacked"]) == (
        "0.1",
        "two",
        "context",
        "no",
    )
    assert (last["mape"], last["success"], last["edits"]) == ("", "0.333333", "0.666667")


def test_markdown(attacked: Attacked) -> None:
    lines = attacked.markdown().splitlines()
    assert "| **one**, attacked | llr | 0.950 | 0.500 |" in lines
    assert "| two | llr | 0.800 | 0.750 |" in lines
    assert "| match error (MAPE), mean | inf | inf |" in lines
    assert "| reads matched | 0 % | 33.3 % |" in lines
    assert "| edits to a match, median | - | 1 |" in lines


def test_json(attacked: Attacked) -> None:
    result = attacked.to_json()
    assert result["curve"][2] == {
        "epsilon": 0.1,
        "bundle": "one",
        "attacked": True,
        "detector": "llr",
        "auroc": 0.5,
        "auprc": 0.9,
        "fpr80": 0.1,
        "mean_score": 1.5,
    }
    assert result["matches"][0]["mape"] is None
    assert [read["target"] for read in result["reads"]] == ["a", "b", "a"]
    assert result["reads"][1]["edits"] == []
