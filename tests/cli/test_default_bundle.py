"""`genood score` without a bundle, `genood info` without one, and what comes with genood for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Genood

from genood.bundle import Bundle
from genood.bundles import shipped
from genood.bundles.shipped import DEFAULT_BUNDLE
from genood.evaluation.tables import read_scores
from genood.metrics import separation

EXAMPLES = Path(__file__).parents[2] / "examples" / "reads"
READS = Path(__file__).parents[1] / "data" / "reads.fastq"
GENERA = ["Bacillus", "Clostridium", "Escherichia", "Mycobacterium", "Pseudomonas", "Salmonella"]
GENERA += ["Staphylococcus", "Streptococcus", "Yersinia"]


def test_scores_and_says_with_what(genood: Genood, tmp_path: Path) -> None:
    """Reads of Portiera, which is none of the nine."""
    result = genood("score", READS, "--summary", "summary.json", "-o", "scores.tsv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    first, last = result.stderr.splitlines()
    assert first.startswith("genood: no bundle named: using nine-genera, which comes with genood and knows")
    assert all(genus in first for genus in GENERA)
    assert "anything else are out-of-distribution" in first
    assert "50 reads" in last
    summary = json.loads((tmp_path / "summary.json").read_text())
    loaded = Bundle.load(DEFAULT_BUNDLE)
    assert "nine genera of bacteria" in summary["bundle"].pop("about")
    assert summary["bundle"] == {"path": str(DEFAULT_BUNDLE), "fingerprint": loaded.fingerprint}
    assert len((tmp_path / "scores.tsv").read_text().splitlines()) == 51
    named = genood("score", "-m", DEFAULT_BUNDLE, READS, "-q")
    assert (named.stdout, named.stderr) == ((tmp_path / "scores.tsv").read_text(), "")


def test_quiet(genood: Genood) -> None:
    assert genood("score", READS, "--quiet").stderr == ""


def test_in_a_report(genood: Genood, tmp_path: Path) -> None:
    result = genood("score", READS, "-q", "-o", "scores.tsv", "--report", "page.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Bundle.load(DEFAULT_BUNDLE).fingerprint[:12] in (tmp_path / "page.html").read_text()


def test_separates_real_reads(genood: Genood, tmp_path: Path) -> None:
    """Of Escherichia coli ATCC 8739, on which nothing was trained, and of 29 other genera."""
    for side in ("in", "ood"):
        command = ("score", EXAMPLES / f"{side}.fasta.gz", "-q", "-o", tmp_path / f"{side}.tsv")
        assert genood(*command).returncode == 0
    tables = [read_scores(str(tmp_path / f"{side}.tsv"), "ood_score") for side in ("in", "ood")]
    assert separation(*tables).auroc > 0.9


def test_is_below_8_mib_and_whole() -> None:
    files = sorted(DEFAULT_BUNDLE.iterdir())
    assert sum(path.stat().st_size for path in files) < 8 << 20
    bundle = Bundle.load(DEFAULT_BUNDLE)  # checks every file against its sha256
    assert {path.name for path in files} == {"genood.json", *bundle.metadata["files"]}
    assert bundle.metadata["classes"] == GENERA
    assert bundle.metadata["command"].startswith("genood train genomes/")
    for heading in ("What it is for", "Data", "How well it separates", "Limits", "p-values"):
        assert f"\n## {heading}\n" in bundle.card


def test_its_card_has_all_its_genomes() -> None:
    bundle = Bundle.load(DEFAULT_BUNDLE)
    rows = [line.split(" | ") for line in bundle.card.splitlines() if line.startswith("| train_in |")]
    assert len(rows) == len(bundle.metadata["data"]["files"]) == 27
    assert {row[1] for row in rows} == set(GENERA)


def test_info(genood_here: Genood) -> None:
    result = genood_here("info")
    bundle = Bundle.load(DEFAULT_BUNDLE)
    where = f"\nDirectory: {DEFAULT_BUNDLE}\nFingerprint: {bundle.fingerprint}\n"
    assert (result.returncode, result.stdout) == (0, f"{bundle.card}{where}")
    assert json.loads(genood_here("info", "--json").stdout)["classes"] == GENERA
    named = genood_here("info", DEFAULT_BUNDLE)
    assert named.stdout == f"{bundle.card}\nFingerprint: {bundle.fingerprint}\n"


@pytest.mark.parametrize("command", [("score", str(READS)), ("info",)])
def test_where_it_was_left_out(
    genood_here: Genood, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(shipped, "DEFAULT_BUNDLE", tmp_path / "nine-genera")
    result = genood_here(*command)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "the bundle that comes with genood is not there" in result.stderr


def test_damaged(genood_here: Genood, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "copy"))
    with (copy / "foreground.safetensors").open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"another")
    result = genood_here("score", "-m", copy, READS)
    assert result.returncode == 1
    assert "differs from the sha256" in result.stderr
