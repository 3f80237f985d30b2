"""The Snakemake wrappers, really run as the wrapper repository runs its own, without conda."""

from __future__ import annotations

import ast
import gzip
import json
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from workflow_runs import GENOOD, WORKFLOWS, snakemake

from genood.cli.score import command

WRAPPERS = WORKFLOWS / "wrapper"
OUTPUTS = {"FILE", "JSON", "FILE_mqc.json", "HTML", "BED"}


def make_case(tmp_path: Path, wrapper: str) -> tuple[Path, tuple[str, str]]:
    """A wrapper's test directory, and the options by which Snakemake finds the wrapper as `master/...`."""
    case = tmp_path / "test"
    shutil.copytree(WRAPPERS / wrapper / "test", case)
    (tmp_path / "master").symlink_to(WRAPPERS)
    return case, ("--wrapper-prefix", f"file://{tmp_path}/")


def test_train_and_score(tmp_path: Path) -> None:
    case, prefix = make_case(tmp_path, "bio/genood/score")
    result = snakemake(case, "--cores", "2", *prefix, "scores/a.tsv.gz", "scores_paired/a.tsv")
    assert result.returncode == 0, result.stderr
    with gzip.open(case / "scores" / "a.tsv.gz", "rt") as table:
        rows = table.read()
    direct = [GENOOD, "score", "-q", "-m", "bundle", "reads/a.fastq"]
    assert subprocess.run(direct, cwd=case, capture_output=True, text=True, check=True).stdout == rows
    calls = json.loads((case / "scores" / "a.json").read_text())["calls"]
    parts = {}
    for call in ("ood", "in"):
        with gzip.open(case / "reads_out" / f"a.{call}.fastq.gz", "rt") as reads:
            parts[call] = len(reads.readlines()) // 4
    assert parts == {"ood": calls["ood"], "in": calls["in"] + calls["na"]}
    assert sum(parts.values()) == 10
    paired = (case / "scores_paired" / "a.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in paired[1:]] == ["1", "2"] * 10
    assert "genood" in (case / "logs" / "genood" / "score" / "a.log").read_text()


def test_mistakes_are_named(tmp_path: Path) -> None:
    case, prefix = make_case(tmp_path, "bio/genood/score")
    (case / "bundle").mkdir()
    text = (case / "Snakefile").read_text()
    text = text[text.index("rule genood_score:") :]  # without training: the jobs fail before they would score
    for right, wrong in (("summary=", "sumary="), ("{sample}.ood_2.fastq", "{sample}.ood_3.fastq")):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (case / "Snakefile").write_text(text)
    result = snakemake(
        case, "--cores", "2", *prefix, "--keep-going", "scores/a.tsv.gz", "scores_paired/a.tsv"
    )
    assert result.returncode == 1
    assert "not sumary" in result.stderr
    assert "differ by 1 and 2 only, not: reads_out_paired/a.ood_1.fastq" in result.stderr


@pytest.mark.parametrize("wrapper", ["bio/genood/train", "bio/genood/score"])
def test_layout(wrapper: str) -> None:
    folder = WRAPPERS / wrapper
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    assert set(meta) == {"name", "description", "url", "authors", "input", "output", "params", "notes"}
    environment = yaml.safe_load((folder / "environment.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    assert f"master/{wrapper}" in (folder / "test" / "Snakefile").read_text()
    result = snakemake(folder / "test", "--lint")
    assert result.returncode == 0, result.stderr


def test_every_output_of_the_command_can_be_named() -> None:
    source = (WRAPPERS / "bio" / "genood" / "score" / "wrapper.py").read_text()
    (table,) = (
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    )
    of_wrapper = ast.literal_eval(table)
    of_command = {
        option.opts[-1]
        for option in command.params
        if isinstance(option, click.Option) and option.metavar in OUTPUTS
    }
    assert set(of_wrapper.values()) == of_command
    meta = yaml.safe_load((WRAPPERS / "bio" / "genood" / "score" / "meta.yaml").read_text())
    assert [name for entry in meta["output"] for name in entry] == list(of_wrapper)
