"""Pages of bundles, and reports by class and detector, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundle_dirs import cnn_dir, context_dir, lstm_dir, markov_dir, metadata_of, write_bundle
from pages import OpenTab, score_row, write_scores

from genood.report.training_page import TrainingPageJob, write_training_page
from genood.report.writing import ReportJob, write_report

PHONE = {"width": 390, "height": 844}
HOSTILE = "</script><img/src=x/onerror=document.title='owned'>"


def page_of(bundle: Path) -> Path:
    output = bundle.with_suffix(".html")
    write_training_page(TrainingPageJob(bundle=str(bundle), output=str(output)))
    return output


@pytest.mark.parametrize(
    ("make", "num_charts"), [(lstm_dir, 6), (cnn_dir, 8), (markov_dir, 5), (context_dir, 5)]
)
def test_pages_of_bundles_load(
    open_tab: OpenTab, said: list[str], tmp_path: Path, make: type, num_charts: int
) -> None:
    file = page_of(make(tmp_path / "b"))
    with open_tab(file, num_charts) as tab:
        shown = [chart for chart in tab.locator("[data-chart]").all() if chart.is_visible()]
        assert len(shown) == num_charts
        for chart in shown:
            assert chart.locator("[role=graphics-document]").first.get_attribute("aria-label")
        assert tab.locator(".vega-embed .error").count() == 0
    assert said == [file.as_uri()]


def test_nulls_are_chosen_by_keyboard(open_tab: OpenTab, said: list[str], tmp_path: Path) -> None:
    with open_tab(page_of(cnn_dir(tmp_path / "b")), 8) as tab:
        assert tab.locator("#null1").is_visible()
        assert not tab.locator("#null2").is_visible()
        tab.get_by_label("Null of", exact=True).focus()
        tab.keyboard.press("ArrowDown")
        tab.wait_for_function("document.querySelectorAll('#null2 .chart svg').length >= 3")
        assert not tab.locator("#null1").is_visible()
        tab.get_by_label("Null of", exact=True).select_option("all")
        assert tab.locator("#null1").is_visible()
        assert tab.locator("#null2").is_visible()
        table = tab.locator("details.table").first
        assert not table.locator("table").is_visible()
        table.locator("summary").press("Enter")
        assert table.locator("table").is_visible()
    assert len(said) == 1


def test_a_page_of_a_bundle_on_a_phone_in_the_dark_and_on_paper(
    open_tab: OpenTab, said: list[str], tmp_path: Path
) -> None:
    """With a class and a card that no page is made for."""
    names = [HOSTILE, "@ood"]
    metadata = metadata_of("lstm", {"foreground": {}}, classes=names, metrics={})
    for file, name in zip(metadata["data"]["files"], names, strict=True):
        file["class_name"] = name
    file = page_of(write_bundle(tmp_path / "b", metadata, table="step\tforeground_val_loss\n1\t1.5\n"))
    with open_tab(file, 4, color_scheme="dark", viewport=PHONE) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 29)"
        assert tab.title() == "genood bundle"
        assert tab.locator("img").count() == 0
        labels = tab.locator("[data-chart=training-chart1] svg.marks text").all_text_contents()
        assert "@ood" in labels
        tab.emulate_media(media="print")
        assert not tab.locator(".controls").first.is_visible()
        assert tab.locator("[data-chart=null1-chart0] svg.marks").is_visible()
        assert tab.pdf().startswith(b"%PDF")
    assert len(said) == 1


def test_reports_by_class_and_detector(open_tab: OpenTab, said: list[str], tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    rows = [
        score_row(
            f"r{i}",
            (i + 0.5) / 300,
            1 - i / 150,
            ood_score_likelihood=round(1 - i / 150 + generator.normal(0, 0.2), 4),
            predicted_class=[HOSTILE, "@in", ""][i % 3],
        )
        for i in range(300)
    ]
    table = write_scores(tmp_path / "s.tsv", rows, ("ood_score_likelihood", "predicted_class"))
    write_report(ReportJob(tables=[str(table)], output=str(tmp_path / "r.html")))
    with open_tab(tmp_path / "r.html", 8) as tab:
        titles = tab.locator("#run1 figure h3").all_inner_texts()
        assert titles[-4:] == [
            "OOD scores of likelihood",
            "llr and likelihood",
            "Classes",
            "P-values by class",
        ]
        for place in range(4, 8):
            assert tab.locator(f"[data-chart=run1-chart{place}] svg.marks").is_visible()
        labels = tab.locator("[data-chart=run1-chart6] svg.marks text").all_text_contents()
        assert "@in" in labels
        cells = tab.locator("[data-chart=run1-chart5] svg.marks path").count()
        assert cells > 50
        histogram = tab.locator("[data-chart=run1-chart4] svg.marks")
        before = histogram.inner_html()
        tab.get_by_role("radio", name="logarithmic").check()
        tab.wait_for_function(
            "before => document.querySelector('[data-chart=run1-chart4] svg.marks').innerHTML !== before",
            arg=before,
        )
    assert len(said) == 1
