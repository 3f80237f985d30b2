"""Reports in a real Chromium: they load without a complaint, and all controls work, by keyboard too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pages import OpenTab, score_row, write_scores

from genood.report.writing import ReportJob, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator
    from playwright.sync_api import Page as Tab

HOSTILE = "</script><img/src=x/onerror=document.title='owned'>"
PHONE = {"width": 390, "height": 844}


def playwright_of() -> Any:
    return pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def says(element: Locator, text: str) -> None:
    """Wait until an element has a text: a browser's events come in their own time."""
    playwright_of().expect(element).to_contain_text(text)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, with traces and windows; one of short reads, one of long ones."""
    folder = tmp_path_factory.mktemp("report")
    generator = np.random.default_rng(1)
    paths: dict[str, list[Path]] = {"s": [], "p": [], "w": []}
    for run, lengths in (("short", [100, 100, 60]), ("long", [3000, 2000, 1200])):
        traces = {i: np.round(generator.normal(-0.1, 0.5, n), 4) for i, n in enumerate(lengths)}
        names = [HOSTILE, "second", "third"]
        rows = [
            score_row(names[i], 0.0001 * (i + 1), -values.mean(), length=len(values), num_scored=len(values))
            for i, values in traces.items()
        ]
        rows += [score_row(f"r{i}", (i + 0.5) / 500, 1 - i / 250, gc=i % 50 / 50) for i in range(500)]
        paths["s"].append(write_scores(folder / f"{run}.tsv", rows))
        lines = ["read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr"]
        windows = ["read_id\tmate\tstart\tend\tnum_scored\tllr\tllr_per_base\tood_score\tp_value"]
        for i, values in traces.items():
            lines += [f"{names[i]}\t{at}\tACGT\t-1\t-1\t{value}" for at, value in enumerate(values, 1)]
        for row in rows:
            half, end = int(row["length"]) // 2, int(row["length"])
            for place in (f"0\t{half}", f"{half}\t{end}"):
                windows.append(f"{row['read_id']}\t0\t{place}\t{half}\t-1\t-0.02\t0.02\t0.04")
        for kind, text in (("p", lines), ("w", windows)):
            paths[kind].append(folder / f"{run}.{kind}.tsv")
            paths[kind][-1].write_text("\n".join(text) + "\n")
    write_report(
        ReportJob(
            tables=list(map(str, paths["s"])),
            per_position=list(map(str, paths["p"])),
            window_tables=list(map(str, paths["w"])),
            output=str(folder / "report.html"),
            title=HOSTILE,
        )
    )
    return folder / "report.html"


@pytest.fixture
def tab(open_tab: OpenTab, report: Path) -> Iterator[Tab]:
    with open_tab(report, 9, color_scheme="light") as opened:
        yield opened


@pytest.fixture
def phone(open_tab: OpenTab, report: Path) -> Iterator[Tab]:
    with open_tab(report, 9, color_scheme="dark", viewport=PHONE) as opened:
        yield opened


def shown(tab: Tab) -> list[str]:
    """The runs that are shown."""
    found: list[str] = tab.evaluate(
        "[...document.querySelectorAll('section.run:not([hidden]) h2')].map(e => e.textContent)"
    )
    return found


def svg_of(tab: Tab, chart: str) -> str:
    return tab.locator(chart).locator("svg.marks").inner_html()


def test_it_loads_without_a_complaint(tab: Tab, said: list[str], report: Path) -> None:
    assert said == [report.as_uri()]
    assert tab.title() == HOSTILE
    assert tab.locator("img").count() == 0
    assert tab.locator("h1").inner_text() == HOSTILE
    assert tab.locator("#run1 td.name").first.inner_text() == HOSTILE
    for chart in tab.locator("[data-chart]").all():
        if chart.is_visible():
            assert chart.locator("[role=graphics-document]").first.get_attribute("aria-label")


def test_runs_are_chosen(tab: Tab, said: list[str]) -> None:
    assert shown(tab) == ["short"]
    tab.get_by_label("Run", exact=True).select_option("run2")
    assert shown(tab) == ["long"]
    tab.wait_for_function("document.querySelectorAll('#run2 .chart svg').length >= 8")
    tab.get_by_label("Run", exact=True).select_option("all")
    assert shown(tab) == ["short", "long"]
    tab.get_by_label("Run", exact=True).select_option("run1")
    tab.locator("#overview a", has_text="long").click()
    tab.wait_for_function(
        "document.getElementById('run-choice').value === 'run2'"
    )  # a link is followed later
    assert shown(tab) == ["long"]
    assert len(said) == 1


def test_logarithmic_numbers(tab: Tab, said: list[str]) -> None:
    before, unchanged = svg_of(tab, "[data-chart=run1-chart0]"), svg_of(tab, "[data-chart=run1-chart2]")
    tab.get_by_role("radio", name="logarithmic").check()
    tab.wait_for_function(
        "before => document.querySelector('[data-chart=run1-chart0] svg.marks').innerHTML !== before",
        arg=before,
    )
    assert svg_of(tab, "[data-chart=run1-chart2]") == unchanged
    assert len(said) == 1


def test_traces_by_keyboard(tab: Tab, said: list[str]) -> None:
    panel = tab.locator("#run1 [data-traces]")
    status = panel.get_by_role("status")
    says(status, "bases 1 to 100 of 100; a bar for each base")
    bars = panel.locator(
        ".trace-chart svg.marks path[fill='#0072b2'], .trace-chart svg.marks path[fill='#d55e00']"
    )
    panel.locator(".trace-chart svg.marks").wait_for()
    assert bars.count() >= 100
    panel.get_by_role("button", name="Zoom in").focus()
    tab.keyboard.press("Enter")
    says(status, "bases 26 to 75 of 100")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    says(status, "bases 1 to 50 of 100")
    panel.get_by_role("button", name="Whole read").press("Enter")
    says(status, "bases 1 to 100 of 100")
    panel.locator("select").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    says(status, "bases 1 to 60 of 60")
    panel.get_by_text("The values of these bases").press("Enter")
    playwright_of().expect(panel.locator("tbody tr")).to_have_count(60)
    panel.get_by_role("button", name="Zoom in").click()
    playwright_of().expect(panel.locator("tbody tr")).to_have_count(30)
    assert panel.locator("tbody tr").first.inner_text().split()[:3] == ["16", "N", "-1"]
    panel.locator(".windows-chart svg.marks").wait_for()
    tab.get_by_role("button", name="Draw read").first.click()
    says(status, "bases 1 to 100 of 100")
    assert len(said) == 1


def test_long_traces_are_drawn_by_means(tab: Tab) -> None:
    tab.get_by_label("Run", exact=True).select_option("run2")
    panel = tab.locator("#run2 [data-traces]")
    says(panel.get_by_role("status"), "each bar is the mean of 8 bases")
    for _ in range(3):
        panel.get_by_role("button", name="Zoom in").click()
    says(panel.get_by_role("status"), "a bar for each base")


def test_tables_are_sorted(tab: Tab) -> None:
    table = tab.locator("#run1 table.top")
    lengths = table.locator("tbody td:nth-child(3)")
    heading = table.get_by_role("columnheader", name="bases")
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert lengths.all_inner_texts() == ["60", *["100"] * 19]
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert lengths.all_inner_texts() == [*["100"] * 19, "60"]


def test_the_keyboard_reaches_all_controls(tab: Tab) -> None:
    wanted = tab.evaluate(
        """[...document.querySelectorAll('select, button, summary, a, [tabindex="0"], input:checked')]
            .filter(e => e.checkVisibility()).length"""
    )
    reached = set()
    tab.locator("body").press("Tab")
    for _ in range(wanted + 10):
        place = tab.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)")
        if tab.evaluate("document.activeElement !== document.body"):
            reached.add(place)
        tab.keyboard.press("Tab")
    assert len(reached) >= wanted


def test_dark_and_narrow(phone: Tab, said: list[str]) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    paper = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(18, 23, 29)"
    assert phone.locator("[data-chart=run1-chart0] svg.marks path[fill='#56b4e9']").count() > 10
    phone.emulate_media(color_scheme="light")
    phone.wait_for_selector("[data-chart=run1-chart0] svg.marks path[fill='#0072b2']", state="attached")
    assert len(said) == 1


def test_charts_are_saved(tab: Tab, said: list[str]) -> None:
    chart = tab.locator("[data-chart=run1-chart0]")
    chart.locator("summary").press("Enter")
    for form in ("SVG", "PNG"):
        with tab.expect_download() as download:
            chart.get_by_role("link", name=f"Save as {form}").press("Enter")
        assert download.value.suggested_filename == f"run1-chart0.{form.lower()}"
        assert Path(download.value.path()).stat().st_size > 1000
    assert not [line for line in said if line.startswith(("error", "warning"))]


def test_it_prints(tab: Tab) -> None:
    tab.emulate_media(media="print")
    assert not tab.locator(".controls").first.is_visible()
    assert tab.locator("[data-chart=run1-chart0] svg.marks").is_visible()
    assert tab.pdf().startswith(b"%PDF")


def test_without_scripts(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("section.run").count() == 2
    assert page.locator("section.run").nth(1).is_visible()
    assert not page.locator(".controls").first.is_visible()
    context.close()
