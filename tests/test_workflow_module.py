"""The workflow as a module of someone else's workflow, really run."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from workflow_runs import ROOT, WORKFLOWS, snakemake

GENOME = "Portiera__BT-B-HRs.fasta"
READS = ROOT / "tests" / "data" / "reads.fastq"

SNAKEFILE = f"""
configfile: "config.yaml"

rule everything:
    input:
        "num_foreign.txt",

rule trim:
    input: "raw/{{sample}}.fastq"
    output: "trimmed/{{sample}}.fastq"
    shell: "head -n 80 {{input}} > {{output}}"

module genood:
    snakefile: "{WORKFLOWS / "Snakefile"}"
    config: config["genood"]
    replace_prefix: {{"results/": "foreign/results/", "logs/": "foreign/logs/"}}

use rule * from genood as genood_*

use rule score_part from genood as genood_score_part with:
    threads: 1

rule count:
    input: expand(rules.genood_gather.output.table, sample="portiera")
    output: "num_foreign.txt"
    shell: "gzip -dc {{input}} | awk '$NF == \\"ood\\"' | wc -l > {{output}}"
"""
CONFIG = {
    "genood": {
        "samples": "samples.tsv",
        "check_files": False,  # the reads are made by a rule
        "train": {"reference": [f"genomes/{GENOME}"], "options": "--model markov --order 3"},
        "score": {"parts": 2, "options": "--alpha 0.2"},
        "multiqc": {"enabled": False},
    }
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's workflow, which trims reads, has genood judge them, and counts."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.yaml").write_text(json.dumps(CONFIG))
    (tmp_path / "samples.tsv").write_text("sample\treads\nportiera\ttrimmed/portiera.fastq\n")
    for name in ("raw", "genomes"):
        (tmp_path / name).mkdir()
    shutil.copy(READS, tmp_path / "raw" / "portiera.fastq")
    genomes = WORKFLOWS / "wrapper" / "bio" / "genood" / "train" / "test" / "genomes"
    shutil.copy(genomes / GENOME, tmp_path / "genomes")
    return tmp_path


def test_between_rules_of_another_workflow(project: Path) -> None:
    result = snakemake(project, "--cores", "2")
    assert result.returncode == 0, result.stderr
    with gzip.open(project / "foreign" / "results" / "scores" / "portiera.tsv.gz", "rt") as table:
        rows = [line.split() for line in table][1:]
    assert len(rows) == 20
    calls = [row[-1] for row in rows]
    assert (project / "num_foreign.txt").read_text().strip() == str(calls.count("ood"))
    # At a level of 0.2, which is this configuration's and nobody's default.
    assert calls == ["ood" if float(row[-2]) <= 0.2 else "in" for row in rows]
    assert any(0.05 < float(row[-2]) <= 0.2 for row in rows)
    assert not (project / "results").exists()
    assert not (project / "logs").exists()
    assert (project / "foreign" / "logs" / "train.log").is_file()
    # Captions lie beside the module's rules.
    result = snakemake(project, "--report", "report.html")
    assert result.returncode == 0, result.stderr
    assert "The model card: what the bundle was trained on" in (project / "report.html").read_text()


def test_all_paths_below_a_prefix(project: Path) -> None:
    """What is not to be moved has to be absolute then."""
    text = (project / "Snakefile").read_text()
    start = text.index("    replace_prefix")
    end = text.index("\n", start)
    (project / "Snakefile").write_text(text[:start] + '    prefix: "elsewhere"' + text[end:])
    config = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(config.replace("genomes/", f"{project}/genomes/"))
    (project / "samples.tsv").write_text(f"sample\treads\nportiera\t{project}/raw/portiera.fastq\n")
    result = snakemake(project, "--cores", "2", "--dry-run")
    assert result.returncode == 0, result.stderr
    shown = result.stdout + result.stderr
    assert "output: elsewhere/results/scores/portiera.tsv.gz" in shown
    assert f"input: {project}/raw/portiera.fastq\n" in shown


def test_mistakes_in_its_part_of_the_configuration(project: Path) -> None:
    config = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(config.replace('"parts"', '"pieces"'))
    result = snakemake(project, "--cores", "2")
    assert result.returncode == 1
    assert "pieces" in result.stderr
    assert not (project / "foreign").exists()
