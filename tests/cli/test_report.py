"""`genood report`: what the page says, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import re
from importlib import util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import Genood
from pages import COLUMNS, Row, page_of, score_row, write_scores
from refusals import check_refused

from genood.report import shell

HOSTILE = "</script><script>alert(1)</script><img/src=x/onerror=alert(1)>{{7*7}}&amp;\"'`"


def rows_by_hand() -> list[Row]:
    """Ten reads: p-values 0.05, 0.1, ..., 0.45 and one that could not be scored."""
    scored = [score_row(f"r{i}", round(0.05 * i, 2), -0.1 * i, gc=0.1 * i) for i in range(1, 10)]
    return [*scored, score_row("blank", "", "", gc="", num_scored=0, length=40)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_scores(tmp_path / "s.tsv", rows_by_hand())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_numbers_by_hand(genood_here: Genood, folder: Path) -> None:
    """No p-value is above 0.5, so that all reads must be OOD; one of nine is called, at exactly 0.05."""
    page = page_of(genood_here, "s.tsv")
    facts = page.facts()
    assert facts["OOD fraction"].startswith("100 %")
    assert facts["reads"] == "10"
    assert facts["bases"] == "940"
    small = [text.strip() for text in page.texts["small"]]
    assert small[1:] == ["11.1 % of the scored reads", "1 not scored ()", "mean length 94", "GC 50 %"]
    p_values = page.table("Histogram of 9 p-values; 0 are at most 0.025.")
    filled = {(low, high): count for low, high, count in p_values[1:] if count != "0"}
    assert filled == {(f"{p - 0.025:g}", f"{p:g}"): "1" for p in np.arange(1, 10) * 0.05}
    by_gc = page.table("Numbers of reads by GC and OOD score; median scores of 9 bins")
    assert [row[:2] for row in by_gc[1:]] == [[f"{10 * i + 1} %", "1"] for i in range(1, 10)]
    for i, row in enumerate(by_gc[1:], 1):
        assert float(row[2].replace("−", "-")) == pytest.approx(-0.1 * i, abs=0.02)
    assert page.table("Histogram of read lengths")[1:] == [
        ["40", "42", "0", "0", "0 %"],
        ["100", "102", "8", "1", "11.1 %"],
    ]
    top = page.tables["top"]
    assert [row[1] for row in top[1:]] == [f"r{i}" for i in range(1, 10)]
    assert top[1][2:8] == ["100", "10.0 %", "0.1", "−0.1", "0.05", "ood"]
    assert dict(page.tables["parameters"])["called ood"] == "p-values up to 0.05"
    scores = page.table("Histogram of the OOD scores of 9 reads")
    assert sum(int(row[2]) + int(row[3]) for row in scores[1:]) == 9
    assert any("Neither summary nor bundle" in text for text in page.texts["p"])


def test_charts_have_the_tables_numbers(genood_here: Genood, folder: Path) -> None:
    page = page_of(genood_here, "s.tsv")
    charts = {key: value for key, value in page.data.items() if "-chart" in key}
    assert len(charts) == 5
    assert {attrs["data-chart"] for _, attrs in page.elements if "data-chart" in attrs} == set(charts)
    rows = charts["run1-chart1"]["spec"]["layer"][0]["data"]["values"]
    table = page.table("Histogram of 9 p-values")[1:]
    assert [str(row["n"]) for row in rows] == [row[2] for row in table]
    assert all(chart["description"] for chart in charts.values())


def test_nothing_is_loaded(genood_here: Genood, folder: Path) -> None:
    page = page_of(genood_here, "s.tsv")
    for tag, attrs in page.elements:
        assert tag not in {"link", "img", "iframe", "base", "object"}
        assert "src" not in attrs
        assert attrs.get("href") is None or str(attrs["href"]).startswith("#")
    policy = next(attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "url(" not in page.texts["style"][0]


def test_headings_and_names_of_controls(genood_here: Genood, folder: Path) -> None:
    page = page_of(genood_here, "s.tsv", "--title", "Run 7 <b>")
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.texts["title"] == page.texts["h1"] == ["Run 7 <b>"]
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    named = {attrs[name] for _, attrs in page.elements for name in ("aria-labelledby",) if name in attrs}
    assert named <= set(ids)
    links = {str(attrs["href"])[1:] for tag, attrs in page.elements if tag == "a"}
    assert links <= set(ids)


def test_hostile_names_are_text(genood_here: Genood, folder: Path) -> None:
    names = [HOSTILE, "\x1b[31mred", "NA", "a" * 100_000]
    write_scores(folder / "s.tsv", [score_row(name, 0.01, 1 - i) for i, name in enumerate(names)])
    plain = page_of(genood_here, "s.tsv", "--title", HOSTILE)
    assert [row[1] for row in plain.tables["top"][1:]] == [
        HOSTILE[:99] + "…" if len(HOSTILE) > 100 else HOSTILE,
        "\N{REPLACEMENT CHARACTER}[31mred",
        "NA",
        "a" * 99 + "…",
    ]
    assert plain.texts["h1"] == [HOSTILE]
    assert [tag for tag, _ in plain.elements].count("script") == 3
    assert not [tag for tag, _ in plain.elements if tag == "img"]


def test_hostile_traces(genood_here: Genood, folder: Path) -> None:
    write_scores(folder / "s.tsv", [score_row(HOSTILE, 0.01, 0.5, length=2, num_scored=2)])
    lines = ["read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr", f"{HOSTILE}\t1\tA\t-1\t-1\t-0.5"]
    Path("p.tsv").write_text("\n".join([*lines, f"{HOSTILE}\t2\t<\t-1\t-1\t-0.5"]) + "\n")
    page = page_of(genood_here, "s.tsv", "--per-position", "p.tsv")
    (read,) = page.data["run1-traces"]["reads"]
    assert read["label"] == f"1. {HOSTILE}"
    assert read["bases"] == "AN"
    assert "</script><script>alert" not in page.source


def test_model_cards_are_text() -> None:
    card = shell.card_html(
        "# T\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://z/y.png)\n\n|a|\n|-|\n|1|\n"
    )
    assert "<script" not in card
    assert "href" not in card
    assert "<img" not in card
    assert card.startswith("<h4>T</h4>")
    assert "<table>" in card


def test_empty_table(genood_here: Genood, folder: Path) -> None:
    write_scores(folder / "empty.tsv", [])
    page = page_of(genood_here, "empty.tsv")
    assert page.facts()["reads"] == "0"
    assert page.facts()["OOD fraction"] == "–"
    assert "The table has no reads." in page.texts["p"]
    assert not [key for key in page.data if "chart" in key]


def test_only_reads_without_scores(genood_here: Genood, folder: Path) -> None:
    write_scores(folder / "s.tsv", [rows_by_hand()[-1]] * 3)
    page = page_of(genood_here, "s.tsv")
    assert "No read has a p-value." in page.texts["p"]
    assert page.facts()["reads"] == "3"
    assert "top" not in page.tables


def test_many_runs(genood_here: Genood, folder: Path) -> None:
    tables = []
    for number in range(15):
        (folder / f"sample{number}").mkdir()
        rows = [score_row(f"r{i}", (i + 0.5) / 100, 0.5 - i / 100) for i in range(100)]
        tables.append(write_scores(folder / f"sample{number}" / "scores.tsv", rows[number:]))
    page = page_of(genood_here, *tables)
    overview = page.tables[""]
    assert [row[0] for row in overview[1:]] == [str(table) for table in tables]
    assert [row[1] for row in overview[1:]] == [str(100 - number) for number in range(15)]
    # Of 86 reads 50 have p-values above 0.5, of 100 also.
    assert overview[1][2] == "0 %"
    assert overview[15][2] == "0 %"
    assert page.table("OOD fractions of 15 runs")[15][0] == str(tables[14])
    assert sum(attrs.get("class") == "run" for _, attrs in page.elements) == 15
    options = [text.strip() for text in page.texts["option"]]
    assert options == [*map(str, tables), "all, one below the other"]
    named = page_of(
        genood_here, write_scores(folder / "one.tsv", []), write_scores(folder / "two.tsv.gz", [])
    )
    assert [text.strip() for text in named.texts["h2"]][1:3] == ["one", "two"]


def test_forms_of_one_table_give_one_page(genood_here: Genood, folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    text = Path("s.tsv").read_bytes()
    first = page_of(genood_here, "s.tsv").source
    assert page_of(genood_here, "s.tsv").source == first  # nothing of it is of the time
    Path("s.tsv.gz").write_bytes(gzip.compress(text))
    pandas.read_csv("s.tsv", sep="\t", keep_default_na=False, na_values=[""]).to_parquet("s.parquet")
    for name in ("s.tsv.gz", "s.parquet"):
        assert page_of(genood_here, name).source.replace(name, "s.tsv") == first


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"p_value": "x"}, "s.tsv, line 3: column 'p_value' holds 'x', which is no number"),
        ({"p_value": "1.5"}, "s.tsv, line 3: column 'p_value' holds 1.5, which is no number from 0 to 1"),
        ({"gc": "-0.1"}, "s.tsv, line 3: column 'gc' holds -0.1"),
        ({"length": "-1"}, "s.tsv, line 3: column 'length' holds -1, which is no whole number"),
        ({"length": "1.5"}, "s.tsv, line 3: column 'length' holds 1.5"),
        ({"num_scored": ""}, "s.tsv, line 3: column 'num_scored' holds nan"),
        ({"mate": "inf"}, "s.tsv, line 3: column 'mate' holds inf"),
        ({"ood_score": "inf"}, "s.tsv, line 3: column 'ood_score' holds inf, which is no finite number"),
        ({"call": "OOD"}, "s.tsv, line 3: column 'call' holds 'OOD', which is no call"),
        ({"call": ""}, "s.tsv, line 3: column 'call' holds '', which is no call"),
    ],
)
def test_bad_cells(genood_here: Genood, folder: Path, cells: dict[str, object], says: str) -> None:
    rows = [score_row("a", 0.5, 0.1), {**score_row("b", 0.5, 0.1), **cells}, score_row("c", 0.5, 0.1)]
    write_scores(folder / "s.tsv", rows)
    check_refused(genood_here, folder, "report", "s.tsv", "-o", "r.html", says=says)


def test_bad_tables(genood_here: Genood, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path("s.tsv").read_bytes()
    Path("nothing.tsv").write_bytes(b"")
    Path("cut.tsv.gz").write_bytes(gzip.compress(whole * 100)[:200])
    Path("columns.tsv").write_text("read_id\tcall\tood_score\n")
    Path("short.tsv").write_bytes(whole[: whole.rindex(b"\t")])
    Path("s.parquet").write_bytes(whole)
    cases = {
        "missing.tsv": "missing.tsv: no such file",
        "-": "standard input: is not taken here",
        "nothing.tsv": "nothing.tsv: cannot be read as a score table",
        "cut.tsv.gz": "cut.tsv.gz: cannot be read as a score table",
        "columns.tsv": "columns.tsv: is no score table of genood score: it has no column 'mate', 'length'",
        "short.tsv": "short.tsv, line 11: column 'call' holds ",
        "s.parquet": "s.parquet: cannot be read as a score table",
    }
    for table, says in cases.items():
        check_refused(genood_here, folder, "report", table, "-o", "r.html", says=says)


def test_a_pipe(genood_here: Genood, folder: Path) -> None:
    """As of a shell's ``<(zcat s.tsv.gz)``: its header would be gone when its rows are read."""
    source, target = os.pipe()
    os.write(target, Path("s.tsv").read_bytes())
    os.close(target)
    pipe = f"/dev/fd/{source}"
    says = f"{pipe}: is read twice, its header first; give a file"
    for arguments in ([pipe], ["s.tsv", "--per-position", pipe], ["s.tsv", "--window-table", pipe]):
        check_refused(genood_here, folder, "report", *arguments, "-o", "r.html", says=says)
    os.close(source)


def summary_of(**changes: object) -> str:
    summary = {
        "tool": "genood",
        "version": "9.8.7",
        "bundle": {"path": "b", "fingerprint": "abc"},
        "inputs": ["<reads>.fq"],
        "detectors": ["llr"],
        "alpha": 0.05,
        "options": {"min_quality": 20, "min_length": 1, "max_reads": None, "sample_fraction": 1.0, "seed": 0},
        "device": "cpu",
        "reads": {"in": 12, "scored": 9, "skipped": {"nothing to score": 1, "too short": 2}},
        "calls": {"in": 8, "ood": 1, "na": 1},
        "ood_fraction": {"estimate": 0.25, "low": 0.125, "high": 0.5, "null_fits": False},
        "wall_seconds": 2.5,
    }
    return json.dumps(summary | changes)


def test_summary(genood_here: Genood, folder: Path) -> None:
    """What it states goes before what the table tells."""
    Path("other.json").write_text(summary_of())
    page = page_of(genood_here, "s.tsv", "--summary", "other.json")
    assert page.facts()["OOD fraction"].startswith("25 %")
    assert page.texts["small"][0] == "12.5 % to 50 % (95\xa0%)"
    assert any(text.startswith("P-values pile up near 1") for text in page.texts["p"])
    parameters = dict(row for row in page.tables["parameters"])
    assert parameters["scored by"] == "genood 9.8.7"
    assert parameters["inputs"] == "<reads>.fq"
    assert parameters["reads taken"] == "min quality 20"
    assert parameters["skipped"] == "1 nothing to score, 2 too short"
    assert parameters["called ood"] == "p-value at most 0.05"
    Path("s.summary.json").write_text(summary_of())
    assert page_of(genood_here, "s.tsv").source == page.source


def test_summary_that_only_lies_beside(genood_here: Genood, folder: Path) -> None:
    Path("s.summary.json").write_text(summary_of(calls={"in": 3, "ood": 0, "na": 0}))
    assert page_of(genood_here, "s.tsv").facts()["OOD fraction"].startswith("100 %")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "j.json: cannot be read as a summary ("),
        ("[]", "j.json: is no summary of genood score: it is not of this tool"),
        (summary_of(tool="other"), "j.json: is no summary of genood score"),
        (summary_of(reads=3), "it has no 'reads' of the right type"),
        (summary_of(reads={"skipped": []}), "it does not say what was skipped"),
        (summary_of(detectors=[]), "it names no detector"),
        (summary_of(calls={"in": "many"}), "a count is no whole number"),
        (summary_of(ood_fraction={"estimate": 0.5}), "its OOD fraction is none"),
        (summary_of(ood_fraction={"estimate": 2, "low": 0, "high": 1, "null_fits": True}), "from 0 to 1"),
        (
            summary_of(calls={"in": 3, "ood": 0, "na": 0}),
            "j.json: is of another run: it counts 3 reads, and s.tsv has 10",
        ),
    ],
)
def test_bad_summary(genood_here: Genood, folder: Path, text: str, says: str) -> None:
    Path("j.json").write_text(text)
    check_refused(genood_here, folder, "report", "s.tsv", "--summary", "j.json", "-o", "r.html", says=says)


def test_what_is_refused(
    genood_here: Genood, folder: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("s.json").write_text(summary_of())
    twice = ("--summary", "s.json") * 2
    cases = {
        ("s.tsv", "-o", "s.tsv"): "s.tsv: is both an input and an output",
        ("s.tsv", "./s.tsv", "-o", "r.html"): "a score table is named twice",
        ("s.tsv", "-o", "no/r.html"): "no/r.html: its directory",
        ("s.tsv", *twice, "-o", "r.html"): "--summary was given 2 times for 1 score tables",
        ("s.tsv", "-m", "b", "-o", "r.html"): "b: is not a bundle",
        ("s.tsv", "-m", str(bundle_dir), "-o", "r.html"): "gives other p-values than s.tsv has",
        ("s.tsv", "-m", str(bundle_dir), "--summary", "s.json", "-o", "r.html"): "its fingerprint is",
        ("s.tsv", "-m", str(bundle_dir), "-o", f"{bundle_dir}/r.html"): "lies in the bundle",
        ("s.tsv", "--per-position", "s.tsv", "-o", "r.html"): "is no per-position table of genood score",
        ("s.tsv", "--window-table", "s.tsv", "-o", "r.html"): "is no window table of genood score",
    }
    for arguments, says in cases.items():
        check_refused(genood_here, folder, "report", *arguments, says=says)
    monkeypatch.setattr(
        shell, "find_spec", lambda name: None if name == "vl_convert" else util.find_spec(name)
    )
    says = "a report needs vl-convert-python: pip install"
    check_refused(genood_here, folder, "report", "s.tsv", "-o", "r.html", says=says)
    check_refused(genood_here, folder, "score", "-m", bundle_dir, "x.fq", "--report", "r.html", says=says)


def test_traces_of_another_run_are_left_out(genood_here: Genood, folder: Path) -> None:
    """Of the reads r1 to r9 one is of another length, one has another mean; a third is not there."""
    header = "read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr"
    rows = [score_row(f"r{i}", 0.1 * i, 0.5, length=3, num_scored=3) for i in range(1, 5)]
    write_scores(folder / "s.tsv", rows)
    means = {"r1": [-0.5] * 3, "r2": [-0.5] * 2, "r3": [-0.4] * 3}
    lines = [
        f"{name}\t{position}\tA\t-1\t-0.5\t{value}"
        for name, values in means.items()
        for position, value in enumerate(values, 1)
    ]
    Path("p.tsv").write_text("\n".join([header, *lines]) + "\n")
    page = page_of(genood_here, "s.tsv", "--per-position", "p.tsv")
    assert [read["label"] for read in page.data["run1-traces"]["reads"]] == ["1. r1"]
    assert any(text.startswith("3 of 4 reads have no trace") for text in page.texts["p"])
    for kept, says in (
        ([lines[0], lines[2]], "p.tsv: the positions of 'r1' do not follow each other"),
        (lines[1:], "p.tsv: the positions of 'r1' do not start at 1"),
        ([lines[0].replace("-0.5", "inf")], "p.tsv: holds infinite values of 'r1'"),
        ([lines[0].replace("-0.5", "x")], "p.tsv, line 2: column 'llr' holds 'x', which is no number"),
    ):
        Path("p.tsv").write_text("\n".join([header, *kept]) + "\n")
        arguments = ("report", "s.tsv", "--per-position", "p.tsv", "-o", "r.html")
        check_refused(genood_here, folder, *arguments, says=says)


def test_number_of_top_reads(genood_here: Genood, folder: Path) -> None:
    assert len(page_of(genood_here, "s.tsv", "--top", "3").tables["top"]) == 4
    assert "top" not in page_of(genood_here, "s.tsv", "--top", "0").tables


def test_columns_are_those_of_score_tables() -> None:
    from genood.writers.tables import SCORE_COLUMNS

    assert COLUMNS == SCORE_COLUMNS
