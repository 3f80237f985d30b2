"""The plan of large runs, and the page that shows it."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest
from workflow_runs import ROOT

PAGE = ROOT / "docs" / "scaling.md"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("plan")


def test_the_numbers_of_the_page_are_those_of_the_benchmarks(plan: ModuleType) -> None:
    page = PAGE.read_text()
    shown = re.findall(r"<!-- plan: (\w+) -->\n.+?\n<!-- end -->", page, flags=re.DOTALL)
    assert sorted(shown) == sorted(plan.SECTIONS)
    assert plan.updated(page) == page, "python benchmarks/plan.py --update"


def test_a_plan_by_hand(plan: ModuleType) -> None:
    job = plan.Job(reads_per_second=10, threads=2, start_seconds=5)
    run = plan.Plan(reads=100, part=30, job=job, slots=3)
    assert run.num_jobs == 4
    assert run.job_seconds == 5 + 3
    assert run.wall_seconds == 2 * 8
    assert run.core_hours == pytest.approx(4 * 8 * 2 / 3600)
    assert run.start_share == pytest.approx(5 / 8)
    assert plan.Plan(reads=20, part=30, job=job, slots=3).job_seconds == 5 + 2


def test_rates_are_without_the_start(plan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"start, 2 threads": 1.0, "command, 2 threads": 6.0}
    monkeypatch.setattr(plan, "THROUGHPUT", {"models": {"context": {"reads": 1000, "seconds": seconds}}})
    monkeypatch.setattr(plan, "OVER", {"score 250": 1.0, "score 150": 0.5})
    monkeypatch.setattr(plan, "FOOTPRINT", {"cpu_seconds_of_an_empty_job": 2.0})
    long, short = (plan.measured_job("context", length, 2) for length in (250, 150))
    assert (long.reads_per_second, short.reads_per_second) == (200, 400)
    assert long.start_seconds == 3.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.3, "9.3 s"), (119, "120 s"), (480, "8.0 min"), (7100, "120 min"), (7300, "2.0 h"), (864_000, "10 d")],
)
def test_times_are_read_at_a_glance(plan: ModuleType, seconds: float, text: str) -> None:
    assert plan.duration(seconds) == text
