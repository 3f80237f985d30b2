"""Figures that matplotlib draws: all there, the same each time, with their text; and without it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scored_reads import few_reads, many_reads, some_positions

from genood.errors import ConfigError
from genood.plots import draw_all

DISTANCES = pd.DataFrame(
    {"class": ["Ood0", "Ood1", "Ood2"], "d2s": [0.1, 0.11, 0.3], "nearest_class": ["In0", "In1", "In1"]}
)
DRAWN = ("likelihood-histogram", "likelihood-gc", "ratio-histogram", "ratio-gc")
DRAWN += ("roc", "classes", "distance", "positions")
TABLES = ("reads", "separation", "correlations")


def draw(directory: Path) -> list[Path]:
    return draw_all(
        directory,
        many_reads(),
        likelihood="method 0",
        ratio="method 1",
        distances=DISTANCES,
        positions=some_positions(),
    )


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("figures") / "in" / "here"
    draw(directory)
    return directory


def test_all_are_documented(figures: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "figures.md").read_text()
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(DRAWN)
    assert all(f"`{name}.tsv`" in text for name in TABLES)


def text_of(svg: Path) -> str:
    """All text of a figure, a line an element; it is there as text."""
    root = ElementTree.parse(svg).getroot()
    return "\n".join("".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text"))


def test_all_are_there(figures: Path) -> None:
    expected = {f"{name}.{kind}" for name in DRAWN for kind in ("svg", "png", "tsv")}
    assert {path.name for path in figures.iterdir()} == expected | {f"{name}.tsv" for name in TABLES}
    for path in figures.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_they_are_the_same_each_time(figures: Path, tmp_path: Path) -> None:
    written = draw(tmp_path)
    assert {path.name for path in written} == {path.name for path in figures.iterdir()}
    for path in written:
        assert path.read_bytes() == (figures / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("likelihood-histogram", ["log-likelihood (nats per base)", "OOD (n = 200)"]),
        ("ratio-gc", ["log-likelihood ratio (nats per base)", "GC content of a read"]),
        ("roc", ["AUROC", "OOD reads taken for in-distribution"]),
        ("classes", ["In0", "Ood2", "method 1"]),
        ("distance", ["Ood0", "Ood1", "Ood2"]),
        ("positions", ["log-likelihood (nats)", "log-likelihood ratio (nats)", "A", "X", "position"]),
    ],
)
def test_they_say_what_they_show(figures: Path, name: str, texts: list[str]) -> None:
    lines = text_of(figures / f"{name}.svg").splitlines()
    for text in texts:
        assert text in lines


def test_numbers_are_those_of_the_tables(figures: Path) -> None:
    table = pd.read_csv(figures / "correlations.tsv", sep="\t")
    correlations = table.set_index(["quantity", "method", "side"])
    text = text_of(figures / "likelihood-gc.svg")
    for side, name in (("in", "in-distribution"), ("ood", "OOD")):
        r = correlations.loc[("GC content", "method 0", side), "pearson_r"]
        assert f"{name} (r = {r:.2f})".replace("-0", "−0") in text
    r = correlations.loc[("AUROC and d2S by class", "method 1", "ood"), "pearson_r"]
    assert f"method 1 (r = {r:.2f})".replace("-0", "−0") in text_of(figures / "distance.svg")
    best = pd.read_csv(figures / "separation.tsv", sep="\t").iloc[0]
    assert f"{best['auroc']:.3f}  {best['method']}" in text_of(figures / "roc.svg")


def test_many_methods_without_likelihoods(tmp_path: Path) -> None:
    reads = many_reads(60, num_methods=30)
    written = draw_all(tmp_path, reads)
    names = {path.stem for path in written}
    assert names == {"roc", "classes", *TABLES}
    assert all(f"  {method}" in text_of(tmp_path / "roc.svg") for method in reads.methods)


def test_figures_of_other_data_do_not_stay(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "notes.tsv").touch()
    written = draw_all(tmp_path, few_reads(), likelihood="likelihood")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written} | {"notes.tsv"}


def test_few_reads_some_without_a_score(tmp_path: Path) -> None:
    written = draw_all(tmp_path, few_reads(), likelihood="likelihood", ratio="ratio")
    assert all(path.stat().st_size for path in written)
    # Pearson's r of three reads and of scores that are all one.
    assert "in-distribution (r = –)" in text_of(tmp_path / "ratio-gc.svg")


def test_reads_without_gc(tmp_path: Path) -> None:
    reads = few_reads()
    draw_all(tmp_path, replace(reads, gc=np.full(9, np.nan)), likelihood="likelihood")
    assert "OOD (r = –)" in text_of(tmp_path / "likelihood-gc.svg")


def test_classes_without_distance_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw_all(tmp_path, many_reads(num_methods=3), distances=DISTANCES[:2])
    # Of the two best of three methods.
    text = text_of(tmp_path / "distance.svg")
    assert ["method 0" in text, "method 1" in text, "method 2" in text] == [False, True, True]
    assert caplog.messages == ["OOD classes without a distance: Ood2"]


def test_nothing_is_drawn_where_a_figure_fails(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^none of the OOD classes has a distance"):
        draw_all(tmp_path, few_reads(), likelihood="likelihood", distances=DISTANCES)
    assert list(tmp_path.iterdir()) == []


def test_names_with_quotes(tmp_path: Path) -> None:
    reads = few_reads()
    quoted = np.where(reads.is_ood, reads.classes, '"quoted"').astype(object)
    draw_all(tmp_path, replace(reads, classes=quoted))
    table = pd.read_csv(tmp_path / "reads.tsv", sep="\t")
    assert table["class"][0] == '"quoted"'


def test_names_with_dollar_signs(tmp_path: Path) -> None:
    """They are text, and no formulas."""
    reads = few_reads()
    name = r"a$\b$"
    draw_all(tmp_path, replace(reads, classes=np.where(reads.is_ood, reads.classes, name).astype(object)))
    assert name in text_of(tmp_path / "classes.svg").split("\n")


def test_without_matplotlib() -> None:
    code = "\n".join(
        [
            "import sys; sys.modules['matplotlib'] = None",
            "from genood.errors import ConfigError",
            "try: import genood.plots",
            "except ConfigError as error: print(error)",
        ]
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    expected = "figures need matplotlib: pip install matplotlib, or genood with its extra figures\n"
    assert (result.stdout, result.stderr) == (expected, "")
