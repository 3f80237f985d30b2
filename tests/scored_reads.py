"""Scores of a few reads, made up, that the tests of analyses and figures share."""

from __future__ import annotations

import numpy as np

from genood.evaluation.analyses import ReadScores
from genood.evaluation.position_maps import PositionMap


def few_reads() -> ReadScores:
    """Five in-distribution reads of A and B, four OOD ones of X and Y; the fourth OOD read has no score."""
    return ReadScores.of_sides(
        classes=(["A", "A", "A", "B", "B"], ["X", "X", "Y", "Y"]),
        gc=([0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.5, 0.6, 0.7]),
        ood_scores={
            "likelihood": ([1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 6.0, 7.0, np.nan]),
            "ratio": ([0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, np.nan]),
        },
    )


def many_reads(num_reads: int = 200, num_methods: int = 2) -> ReadScores:
    """Reads of three classes of either side, with as many methods, each better than the one before."""
    generator = np.random.default_rng(4)
    classes = [[f"{side}{number % 3}" for number in range(num_reads)] for side in ("In", "Ood")]
    return ReadScores.of_sides(
        classes=(classes[0], classes[1]),
        gc=(generator.beta(8, 8, num_reads), generator.beta(6, 8, num_reads)),
        ood_scores={
            f"method {number}": (
                generator.normal(0, 1, num_reads),
                generator.normal(number / 3, 1, num_reads),
            )
            for number in range(num_methods)
        },
    )


def some_positions() -> PositionMap:
    """Two reads of a side each, of 30 bases; the second is ten bases shorter and has an unknown one."""
    generator = np.random.default_rng(6)
    codes = generator.integers(0, 4, (2, 30), dtype=np.uint8)
    codes[1, 20:] = codes[1, 3] = 4
    log_p, background = (np.where(codes < 4, -generator.exponential(size=(2, 30)), np.nan) for _ in range(2))
    return PositionMap(
        names=["r1", "r2"],
        classes=["A", "X"],
        is_ood=np.array([False, True]),
        codes=codes,
        log_p=log_p,
        background_log_p=background,
    )
