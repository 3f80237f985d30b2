"""MultiQC itself on what genood wrote: with the plugin, and without it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.evaluation.tables import evaluate_tables
from genood.intake.selection import SelectionConfig
from genood.intake.stream import IntakeConfig
from genood.scoring.gathering import GatherJob, gather_tables
from genood.scoring.running import ScoreJob, score_files
from genood.sequence import Codes

ROOT = Path(__file__).resolve().parents[2]
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
OTHERS = {
    "broken.json": '{\n"tool": "genood",\n"reads"',
    "odd.json": '{\n"tool": "genood", "reads": {}, "calls": [1]}',
    "attack.json": '{\n"tool": "genood", "command": "attack"}',
    "list.json": '[\n"tool": "genood"]',
    "odd_mqc.json": '{"id": "genood", "genood": 7}',
    "else_mqc.json": json.dumps(
        {
            "id": "else",
            "section_name": "Of another tool",
            "plot_type": "bargraph",
            "data": {"mixed": {"apples": 3}},
            "pconfig": {"id": "else_plot", "title": "Else: apples"},
        }
    ),
}
"""Files that are none of genood's, or were."""
WITHOUT_PLUGIN = """
import importlib_metadata
every = importlib_metadata.entry_points
importlib_metadata.entry_points = lambda **of: [e for e in every(**of) if not e.value.startswith("genood.")]
import runpy
runpy.run_module("multiqc", run_name="__main__")
"""


def reads_of(num_in: int, num_ood: int) -> dict[str, Codes]:
    known = {f"in{i}": STRAIN[300 * i : 300 * i + 150] for i in range(num_in)}
    return known | {f"ood{i}": uniform_codes(150, 1000 + i) for i in range(num_ood)}


@pytest.fixture(scope="module")
def summaries() -> dict[str, dict[str, Any]]:
    """What `found` has written, by sample."""
    return {}


@pytest.fixture(scope="module")
def multiqc() -> None:
    """Skip without MultiQC; it is not imported here, as it sets up the process that it is in."""
    if find_spec("multiqc") is None:
        pytest.skip("MultiQC is not installed")


@pytest.fixture(scope="module")
def found(
    multiqc: None,
    context_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    summaries: dict[str, dict[str, Any]],
) -> Path:
    """A folder of runs: of reads of both kinds, known ones alone, none, pairs; put together; evaluated."""
    folder = tmp_path_factory.mktemp("found")

    def score(name: str, reads: dict[str, Codes], **options: Any) -> None:
        fasta = write_fasta(folder / f"{name}.fasta", reads)
        options = {"output": str(folder / f"{name}.tsv"), **options}
        job = ScoreJob(bundle=str(context_dir), inputs=[str(fasta)], **options)
        summaries[name] = score_files(job, device="cpu")

    both = {name: {"summary": str(folder / f"{name}.summary.json")} for name in ("mixed", "known")}
    both["mixed"] |= {"multiqc": str(folder / "mixed_mqc.json")}
    selection = IntakeConfig(selection=SelectionConfig(min_length=10))
    score("mixed", reads_of(20, 20) | {"short": STRAIN[:5]}, intake=selection, **both["mixed"])
    score("known", reads_of(40, 0), detectors=["llr", "likelihood"], **both["known"])
    score("none", {}, summary=str(folder / "none.json"))
    score("blank", {"blank": STRAIN[:50] * 0 + 4}, summary=str(folder / "blank.json"))
    score("alone", reads_of(5, 3), multiqc=str(folder / "alone_mqc.json"))
    (folder / "deep").mkdir()
    pairs = {f"p{i // 2}/{i % 2 + 1}": codes for i, codes in enumerate(reads_of(10, 10).values())}
    deep = str(folder / "deep" / "summary.json")
    score("pairs", pairs, summary=deep, fdr=0.1, intake=IntakeConfig(pairs="interleaved"))
    tables = [str(folder / f"{name}.tsv") for name in ("mixed", "known")]
    evaluate_tables(tables[1], tables[0], num_resamples=5, output=str(folder / "known.evaluation.json"))
    evaluate_tables(tables[1], tables[0], num_resamples=5, output=str(folder / "deep" / "evaluation.json"))
    score("parts", reads_of(4, 2), detectors=["llr"], summary=str(folder / "parts.summary.json"))
    gather_tables(
        GatherJob(
            tables=[str(folder / "parts.tsv")],
            output=str(folder / "all.tsv"),
            summary=str(folder / "all.json"),
            multiqc=str(folder / "all_mqc.json"),
        )
    )
    summaries["all"] = json.loads((folder / "all.json").read_text())
    for name, text in OTHERS.items():
        (folder / name).write_text(text)
    return folder


def run_multiqc(folders: Sequence[Path], output: Path, *options: str, plugin: bool = True) -> str:
    """Run MultiQC; what it said."""
    if plugin and not entry_points(group="multiqc.hooks.v1", name="before_modules"):
        pytest.skip("genood is not installed with its entry points for MultiQC: pip install -e .")
    program = ["-m", "multiqc"] if plugin else ["-c", WITHOUT_PLUGIN]
    result = subprocess.run(
        [sys.executable, *program, *map(str, folders), "--no-version-check", "-o", str(output), *options],
        capture_output=True,
        text=True,
        cwd=output.parent,
        env={**os.environ, "HOME": str(output.parent), "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


class Text(HTMLParser):
    """The text of a page, but for its scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


class Shown:
    """A page that MultiQC wrote, and the data beside it."""

    def __init__(self, output: Path, said: str) -> None:
        self.said = said
        self.page = output / "multiqc_report.html"
        self.text = Text(self.page).text
        self.folder = output / "multiqc_data"
        self.data = json.loads((self.folder / "multiqc_data.json").read_text())

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """The rows of a table, by sample."""
        rows: dict[str, dict[str, Any]] = self.data["report_saved_raw_data"][name]
        return rows


@pytest.fixture(scope="module")
def shown(found: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    output = tmp_path_factory.mktemp("plugin") / "page"
    return Shown(output, run_multiqc([found], output))


def test_general_statistics(shown: Shown, summaries: dict[str, dict[str, Any]]) -> None:
    rows = shown.data["report_general_stats_data"]["genood"]
    assert set(rows) == set(summaries)
    for name, summary in summaries.items():
        row = rows[name][0]["data"] if isinstance(rows[name], list) else rows[name]
        fraction = summary["ood_fraction"]
        parts = {"ood": "estimate", "ood_low": "low", "ood_high": "high"}
        expected = {} if fraction is None else {key: 100 * fraction[part] for key, part in parts.items()}
        num_in, num_ood = summary["calls"]["in"], summary["calls"]["ood"]
        if num_in + num_ood:
            expected["called_ood"] = 100 * num_ood / (num_in + num_ood)
        expected["reads"] = summary["reads"]["in"]
        assert {key: row[key] for key in (*parts, "called_ood", "reads") if key in row} == pytest.approx(
            expected
        )
    assert summaries["known"]["ood_fraction"]["estimate"] == 0
    assert summaries["mixed"]["ood_fraction"]["estimate"] > 0
    assert summaries["blank"]["ood_fraction"] is summaries["none"]["ood_fraction"] is None


def test_each_thing_is_shown_once(shown: Shown) -> None:
    """Custom content of genood is the plugin's, but not that of others; files of the same sample are one."""
    assert [module for module in shown.data["report_data_sources"] if module != "Custom content"] == [
        "genood"
    ]
    assert "multiqc_genood_table" not in shown.data["report_saved_raw_data"]
    assert shown.text.count("genood finds reads that do not come") == 1
    assert "Of another tool" in shown.text
    for heading in ("Calls", "P-values", "Scores", "Runs", "Separation"):
        assert shown.text.count(f" {heading} ") >= 1


def test_sections(shown: Shown, summaries: dict[str, dict[str, Any]]) -> None:
    plots = shown.data["report_plot_data"]
    assert {
        *("genood_calls_plot", "genood_p_values_plot", "genood_scores_plot"),
        *("genood_runs_table", "genood_separation_table", "else_plot"),
    } <= set(plots)
    reads, pairs = plots["genood_calls_plot"]["datasets"]
    counts = {category["name"]: category["data"] for category in reads["cats"]}
    place = reads["samples"].index("mixed")
    calls = summaries["mixed"]["calls"]
    assert (counts["in"][place], counts["ood"][place]) == (calls["in"], calls["ood"])
    assert counts["shorter than --min-length"][place] == 1
    assert counts["nothing to score"][reads["samples"].index("blank")] == 1
    assert pairs["samples"] == ["pairs"]
    lines = {line["name"]: line["pairs"] for line in plots["genood_p_values_plot"]["datasets"][0]["lines"]}
    assert set(lines) == {"mixed", "known", "alone", "pairs", "parts", "all"}
    assert [x for x, _ in lines["mixed"]] == pytest.approx([(i + 0.5) / 40 for i in range(40)])
    assert [y for _, y in lines["mixed"]] == summaries["mixed"]["p_value_counts"]  # of 40 reads, in 40 bins
    assert lines["all"] == lines["parts"]
    by_detector = {data["label"]: data for data in plots["genood_scores_plot"]["datasets"]}
    assert by_detector["likelihood"]["samples"] == ["known"]
    median = by_detector["llr"]["data"][by_detector["llr"]["samples"].index("mixed")]["median"]
    assert median == summaries["mixed"]["quantiles"]["ood_score_llr"]["0.5"]


def test_evaluations(shown: Shown, found: Path) -> None:
    rows = shown.rows("multiqc_genood_evaluations")
    written = json.loads((found / "known.evaluation.json").read_text())["metrics"]
    assert set(rows) == {"known", "known / mixed"}
    for row in rows.values():
        for metric, interval in written.items():
            assert [row[metric], row[f"{metric}_low"]] == [interval["value"], interval["low"]]


def test_foreign_files_are_told_of(shown: Shown) -> None:
    said = " ".join(shown.said.split())
    assert "broken.json is left out, as it is no JSON" in said
    assert "odd.json is left out: [1] where names and values belong" in said
    assert "attack.json" not in said
    assert "Oops" not in said
    assert "attack.json is left out: no summary" in (shown.folder / "multiqc.log").read_text()


def test_one_sample_among_strict_rules(found: Path, tmp_path: Path) -> None:
    """As the first run of a user: one summary, called summary.json, named by its input."""
    said = run_multiqc([found / "deep" / "summary.json"], tmp_path / "page", "--strict")
    shown = Shown(tmp_path / "page", said)
    assert set(shown.rows("multiqc_genood")) == {"pairs"}
    assert "Separation" not in shown.text


def test_the_configuration_of_the_docs(found: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "multiqc.md").read_text()
    config = tmp_path / "multiqc_config.yaml"
    config.write_text(text.split("```yaml\n")[1].split("```")[0])
    files = [found / name for name in ("mixed.summary.json", "known.summary.json", "none.json")]
    shown = Shown(tmp_path / "page", run_multiqc(files, tmp_path / "page", "-c", str(config)))
    assert set(shown.rows("multiqc_genood")) == {"mixed", "known"}
    assert shown.data["report_general_stats_headers"]["genood"]["reads"]["title"] == "K Reads"
    page = shown.page.read_text()
    columns = re.findall(r'<th id="header_genood-(\w+)" class="([^"]*)"', page)
    shown_columns = [name for name, style in columns if "column-hidden" not in style]
    assert shown_columns == ["ood", "called_ood", "reads", "gc"]
    marks = re.findall(r'badge" style="background-color:([^"]*)">([\d.]+)', page)
    assert len(marks) == 1  # of the sample with OOD reads, in the colour of a failure
    assert marks[0][0] == "#d9534f"


def test_without_the_plugin(
    found: Path, context_dir: Path, tmp_path: Path, genood_here: Genood, summaries: dict[str, dict[str, Any]]
) -> None:
    """Custom content of several files is one table; and MultiQC's own module reads Kraken's format."""
    result = genood_here(
        "score", "-m", context_dir, found / "mixed.fasta", "-o", tmp_path / "x.tsv", "--min-length", "10",
        "--multiqc", tmp_path / "new_mqc.json", "--kraken-report", tmp_path / "kraken.txt",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for name in ("mixed_mqc.json", "alone_mqc.json", "mixed.summary.json"):
        shutil.copy(found / name, tmp_path)
    shown = Shown(tmp_path / "page", run_multiqc([tmp_path], tmp_path / "page", plugin=False))
    rows = shown.rows("multiqc_genood_table")
    assert set(rows) == {"mixed", "alone", "new"}
    for name, row in rows.items():
        summary = summaries["mixed" if name == "new" else name]
        assert row["reads"] == summary["reads"]["in"]
        assert row["ood_high"] == pytest.approx(100 * summary["ood_fraction"]["high"])
    assert rows["mixed"]["not_scored"] == 1
    assert "genood finds reads that do not come" in shown.text
    assert "genood" not in shown.data["report_general_stats_data"]
    calls = json.loads((tmp_path / "new_mqc.json").read_text())["genood"]["calls"]
    others = {"unclassified": calls["ood"] + calls["na"]}
    assert shown.rows("multiqc_kraken")["kraken"] == {"U": others, "R": {"root": calls["in"]}}


def test_names_that_multiqc_would_not_find(genood_here: Genood, context_dir: Path, tmp_path: Path) -> None:
    result = genood_here("score", "-m", context_dir, "-", "--multiqc", tmp_path / "a.json")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("let it end in _mqc.json\n")


def test_the_page_in_a_browser(browser: Any, shown: Shown) -> None:
    said: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(shown.page.as_uri())
    for section in ("calls", "p-values", "scores"):
        plot = page.locator(f"#mqc-section-wrapper-genood-{section} .js-plotly-plot")
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    for title in ("General Statistics", "genood: runs"):
        assert page.locator(f".mqc_per_sample_table[data-title='{title}'] tbody tr").count() == 8
    assert said == []
    page.close()
