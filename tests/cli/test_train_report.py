"""`genood train --report` and `genood report BUNDLE`: one page, made at once or later."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Genood
from pages import Page
from refusals import check_refused, snapshot
from toys import TRAIN_OPTIONS

MARKOV = ("--model", "markov", "--order", "4", "--read-length", "60")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_at_once_and_later(genood_here: Genood, genome_files: list[Path], folder: Path) -> None:
    result = genood_here("train", *genome_files, "-o", "b", *MARKOV, "--report", "once.html")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    before = snapshot(folder / "b")
    later = genood_here("report", "b", "-o", "later.html")
    assert (later.returncode, later.stdout, later.stderr) == (0, "", "")
    assert Path("later.html").read_text() == Path("once.html").read_text()
    assert snapshot(folder / "b") == before
    page = Page(folder / "once.html")
    assert page.texts["h1"] == ["genood bundle"]
    assert "Losses on in-distribution reads" in page.texts["h3"]
    genood_here("report", "b", "-o", "named.html", "--title", "My <chain>")
    assert Page(folder / "named.html").texts["h1"] == ["My <chain>"]


def test_of_an_lstm(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    """Its curves are those of training.tsv, with the detectors that were fitted."""
    assert genood_here("report", bundle_dir, "-o", "page.html").returncode == 0
    page = Page(folder / "page.html")
    losses = page.table("Training and validation losses of foreground, background")
    rows = [line.split("\t") for line in (bundle_dir / "training.tsv").read_text().splitlines()[1:]]
    assert [row[0] for row in losses[1:]] == [row[0] for row in rows]
    for shown, row in zip(losses[1:], rows, strict=True):
        assert [float(cell) for cell in (shown[1], shown[3])] == pytest.approx(
            list(map(float, row[1:3])), 1e-3
        )
        assert [float(cell) for cell in (shown[2], shown[4])] == pytest.approx(
            list(map(float, row[3:5])), 1e-3
        )
    detectors = {row[0]: row[2] for row in page.tables["plain"][1:]}
    assert detectors["llr"] == "nothing to learn"
    assert detectors["rose-diagonal"] != "nothing to learn"


def test_of_a_context_model(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    assert genood_here("report", context_dir, "-o", "page.html").returncode == 0
    page = Page(folder / "page.html")
    assert "Losses on in-distribution reads" in page.texts["h3"]
    assert page.facts()["classes"].startswith("3")


def test_of_an_ensemble(genood_here: Genood, genome_files: list[Path], folder: Path) -> None:
    result = genood_here("train", *genome_files, "-o", "e", *MARKOV, "--members", "2", "--report", "e.html")
    assert result.returncode == 0
    members = Page(folder / "e.html").tables["plain"]
    assert [row[:3] for row in members[1:]] == [["member-1", "markov", "0"], ["member-2", "markov", "1"]]
    assert genood_here("report", "e/member-1", "-o", "m.html").returncode == 0


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ("b/page.html", "the"),
        ("b", "b: is to be the bundle; write the page elsewhere"),
        ("none/page.html", "none/page.html: its directory"),
        ("page.bam", "page.bam: --report writes HTML, not .bam"),
    ],
)
def test_what_is_wrong_with_the_page_is_said_before_training(
    genood_here: Genood, genome_files: list[Path], folder: Path, report: str, says: str
) -> None:
    arguments = ("train", *genome_files, "-o", "b", *TRAIN_OPTIONS, "--report", report)
    check_refused(genood_here, folder, *arguments, says=says)


def test_training_that_fails_leaves_no_page(
    genood_here: Genood, genome_files: list[Path], folder: Path
) -> None:
    arguments = ("train", genome_files[0], folder / "no.fa", "-o", "b", *MARKOV, "--report", "p.html")
    check_refused(genood_here, folder, *arguments, says="no.fa")


def test_directories_that_are_no_bundles(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    (folder / "empty").mkdir()
    check_refused(genood_here, folder, "report", "empty", "-o", "p.html", says="empty: is not a bundle")
    for arguments in (
        (bundle_dir, bundle_dir),
        (bundle_dir, "s.tsv"),
        (bundle_dir, "-m", bundle_dir),
        (bundle_dir, "--summary", "s.json"),
    ):
        result = genood_here("report", *arguments, "-o", "p.html")
        assert result.returncode == 2
        assert "a bundle has a page of its own" in result.stderr
