"""The grid that tuning goes through, the choice among its cells, and its tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genood.errors import ConfigError
from genood.metrics import Separation
from genood.tune import L2S, MUTATION_RATES, Candidate, Cell
from genood.tune.grid import best_cell, candidates
from genood.tune.tables import markdown_table, tsv


def test_the_grid_is_that_of_the_paper() -> None:
    assert MUTATION_RATES == (0.01, 0.05, 0.1, 0.2)
    assert L2S == (0, 1e-6, 1e-5, 1e-4, 1e-3)
    assert len(candidates(MUTATION_RATES, L2S)) == 20


def test_candidates_go_row_by_row() -> None:
    found = candidates([0.2, 0.1], [1e-3, 0.0], ["low-order"])
    assert [each.name for each in found] == [
        "low-order",
        *("mutated-0.1-0.0", "mutated-0.1-0.001", "mutated-0.2-0.0", "mutated-0.2-0.001"),
    ]
    assert [str(each) for each in found[:2]] == ["low-order", "μ 0.1, λ 0"]
    assert [str(each) for each in candidates([0.1], [None])] == ["μ 0.1"]


@pytest.mark.parametrize(
    ("rates", "l2s", "message"),
    [
        ([], [0.0], "the grid needs a mutation rate"),
        ([0.1], [], "the grid needs a L2 coefficient"),
        ([0.1, 0.1], [0.0], "a mutation rate of the grid is named twice"),
        ([0.1], [0.0, 0.0], "a L2 coefficient of the grid is named twice"),
        ([0.0], [0.0], "mutation rates must be above 0 and at most 1, not 0.0"),
        ([1.5], [0.0], "mutation rates must be above 0"),
        ([0.1], [-1.0], "L2 coefficients must be 0 or more, not -1.0"),
        ([0.1], [float("inf")], "L2 coefficients must be 0 or more, not inf"),
    ],
)
def test_unfit_grids(rates: list[float], l2s: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        candidates(rates, l2s)


def cell(rate: float, l2: float | None, real: list[float], simulated: list[float]) -> Cell:
    def separations(aurocs: list[float]) -> tuple[Separation, ...]:
        return tuple(Separation(auroc, auroc / 2, 1 - auroc) for auroc in aurocs)

    return Cell(
        candidate=Candidate(mutation_rate=rate, l2=l2),
        separations={"real": separations(real), "simulated": separations(simulated)},
    )


CELLS = (
    cell(0.1, 0.0, [0.6, 0.8, 0.7], [0.5, 0.5, 0.5]),
    cell(0.1, 1e-4, [0.8, 0.8, 0.8], [0.6, 0.6, 0.6]),
    cell(0.2, 0.0, [0.7, 0.7, 0.7], [0.6, 0.6, 0.6]),
    cell(0.2, 1e-4, [0.75, 0.75, 0.75], [0.4, 0.4, 0.4]),
)


def test_means_and_standard_errors() -> None:
    assert CELLS[0].mean("real") == pytest.approx(0.7)
    assert CELLS[0].standard_error("real") == pytest.approx(0.1 / 3**0.5)
    assert CELLS[0].mean("real", "fpr80") == pytest.approx(0.3)
    assert cell(0.1, 0.0, [0.6], [0.5]).standard_error("real") is None


def test_the_best_has_the_highest_mean() -> None:
    assert best_cell(CELLS, "real") is CELLS[1]
    assert best_cell(CELLS, "real", l2=0.0) is CELLS[0]  # a tie, which the first wins
    assert best_cell(CELLS, "simulated") is CELLS[1]
    with pytest.raises(ConfigError, match=r"no background with L2 coefficient 0\.5 was tried"):
        best_cell(CELLS, "real", l2=0.5)
    without = replace(CELLS[0], separations={"simulated": CELLS[0].separations["simulated"]})
    with pytest.raises(ConfigError, match="there were no real OOD reads to choose by"):
        best_cell([without], "real")


def test_table_of_a_grid() -> None:
    assert markdown_table(CELLS, "real", CELLS[1]) == (
        "| μ \\ λ | 0 | 0.0001 |\n"
        "| --- | ---: | ---: |\n"
        "| 0.1 | 0.7000 ± 0.0577 | **0.8000 ± 0.0000** |\n"
        "| 0.2 | 0.7000 ± 0.0000 | 0.7500 ± 0.0000 |\n"
    )


def test_table_of_backgrounds() -> None:
    derived = replace(cell(0.1, None, [0.9], [0.5]), candidate=Candidate(background="low-order"))
    cells = [derived, cell(0.1, None, [0.8], [0.6])]
    assert markdown_table(cells, "real", derived) == (
        "| background | AUROC |\n| --- | ---: |\n| low-order | **0.9000** |\n| mutated, μ 0.1 | 0.8000 |\n"
    )


def test_tsv() -> None:
    header, *rows = (line.split("\t") for line in tsv(CELLS[:2]).splitlines())
    assert header[:7] == [
        *("background", "mutation_rate", "l2", "ood", "num_seeds", "auroc", "auroc_standard_error")
    ]
    assert rows[0][:7] == ["mutated", "0.1", "0", "real", "3", "0.7", "0.057735"]
    assert [row[3] for row in rows] == ["real", "real", "simulated", "simulated"]
    single = dict(zip(header, tsv([cell(0.1, None, [0.6], [0.5])]).splitlines()[1].split("\t"), strict=True))
    assert (single["l2"], single["auroc_standard_error"], single["fpr80"]) == ("", "", "0.4")
