"""The comparison of recipes: what is compared, by hand, and the page that shows it."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from workflow_runs import ROOT

from genood.recipes import PRESETS

PAGE = ROOT / "docs" / "long_training.md"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("large_batch")


def test_the_table_of_the_page_is_that_of_the_benchmark(benchmark: ModuleType) -> None:
    page = PAGE.read_text()
    assert page.count("<!-- large batches -->\n| | validation loss") == 1
    assert benchmark.updated(page) == page, "python benchmarks/large_batch.py --update"


def test_recipes_are_the_papers_and_a_tenth_of_its_steps(benchmark: ModuleType) -> None:
    paper = PRESETS["paper"].train
    first, *others = benchmark.recipes(paper, [400, 800], [1e-3]).values()
    assert first is paper
    assert (paper.schedule, paper.warmup_steps, paper.max_gradient_norm) == ("constant", 0, None)
    assert [(x.steps, x.warmup_steps, x.batch_size) for x in others] == [
        (90_000, 9000, 400),
        (90_000, 9000, 800),
    ]
    assert {(x.schedule, x.max_gradient_norm, x.learning_rate) for x in others} == {("cosine", 1.0, 1e-3)}


def test_compared_by_hand(benchmark: ModuleType) -> None:
    """From 1.4 to 1.2 in 100 steps; another is at 1.15 after its 10, and had 1.2 after 5."""
    keys = ("step", "reads", "seconds", "processor seconds", "validation loss")
    paper = [dict(zip(keys, row, strict=True)) for row in ((0, 0, 0, 0, 1.4), (100, 200, 9, 8, 1.2))]
    other = [
        dict(zip(keys, row, strict=True))
        for row in ((0, 0, 0, 0, 1.4), (5, 50, 1, 1, 1.2), (10, 100, 2, 2, 1.15))
    ]
    found = benchmark.compared({"paper": paper, "other": other})
    assert found["paper"]["part of the paper's fall"] == pytest.approx(1.0)
    assert found["other"] == {
        "last loss": 1.15,
        "above the paper's": pytest.approx(-0.05),
        "part of the paper's fall": pytest.approx(1.25),
        "steps over the paper's": 0.1,
        "reads over the paper's": 0.5,
        "processor time over the paper's": 0.25,
        "steps until the paper's last loss": 5,
    }
    row = benchmark.table({"compared": found}).splitlines()[-1]
    assert row == "| other | 1.1500 | -0.0500 | 0.50 | 0.25 | 5 |"
    assert (
        benchmark.compared({"paper": paper, "one": paper[:1]})["one"]["steps until the paper's last loss"]
        is None
    )
