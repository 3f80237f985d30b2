"""The Snakemake workflow, really run on the repository's examples."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import dnaio
import pandas as pd
import pysam
import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser
from workflow_runs import HAS_MULTIQC, ROOT, WORKFLOWS, new_case, path_with, run_case

from genood.bundles.files import CHECKPOINT_FILE, FIRST_MEMBER
from genood.sequence import decode, encode_nucleotides, reverse_complement

GENOME = "../../examples/genomes/Escherichia__coli_536__NC_008253.1.fna.gz"
TIMES = {"wall_seconds", "reads_per_second", "bases_per_second"}
NUM_PAIRS = NUM_OOD = 300
FDR = 0.2


def write_reads(folder: Path) -> None:
    """The examples as they come from sequencers: mates in two files, and BAM; and controls."""
    folder.mkdir()
    with dnaio.open(ROOT / "examples" / "reads" / "in.fasta.gz") as file:
        reads = [(f"read{i}", record.sequence) for i, record in enumerate(file)]
    with gzip.open(folder / "R1.fastq.gz", "wt") as first, gzip.open(folder / "R2.fastq.gz", "wt") as second:
        for name, sequence in reads[:NUM_PAIRS]:
            codes = encode_nucleotides(sequence[125:].encode())
            assert codes is not None
            first.write(f"@{name}/1\n{sequence[:125]}\n+\n{'F' * 125}\n")
            second.write(f"@{name}/2\n{decode(reverse_complement(codes))}\n+\n{'F' * 125}\n")
    with gzip.open(folder / "control.fastq.gz", "wt") as control:
        control.writelines(f"@{name}\n{text}\n+\n{'F' * 250}\n" for name, text in reads[NUM_PAIRS:])
    header = pysam.AlignmentHeader.from_text("@HD\tVN:1.6\tSO:unsorted\n")
    with (
        dnaio.open(ROOT / "examples" / "reads" / "ood.fasta.gz") as file,
        pysam.AlignmentFile(str(folder / "others.bam"), "wb", header=header) as alignments,
    ):
        for record, _ in zip(file, range(NUM_OOD), strict=False):
            alignment = pysam.AlignedSegment(header)
            alignment.query_name, alignment.query_sequence = record.id, record.sequence
            alignment.flag = pysam.FUNMAP
            alignment.query_qualities = pysam.qualitystring_to_array("F" * len(record.sequence))
            alignments.write(alignment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the workflow does of samples, done: trained, calibrated, scored, evaluated, shown."""
    case = new_case(
        tmp_path_factory.mktemp("finished"),
        train={"reference": [GENOME], "options": "--model markov --order 8"},
        score={"parts": 4, "fdr": FDR, "ood_reads": True},
    )
    write_reads(case / "reads")
    rows = [
        ("sample", "reads", "mates", "truth", "control"),
        ("coli", "reads/R1.fastq.gz", "reads/R2.fastq.gz", "in", ""),
        ("others", "reads/others.bam", "", "ood", "no"),
        ("control", "reads/control.fastq.gz", "", "", "yes"),
    ]
    (case / "config" / "samples.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    result = run_case(case)
    assert result.returncode == 0, result.stderr
    return case


def summary_of(case: Path, sample: str) -> dict[str, Any]:
    summary = json.loads((case / "results" / "summaries" / f"{sample}.json").read_text())
    return {key: value for key, value in summary.items() if key not in TIMES}


def table_of(case: Path, sample: str) -> str:
    with gzip.open(case / "results" / "scores" / f"{sample}.tsv.gz", "rt") as stream:
        return stream.read()


def test_from_reads_to_evaluation_and_pages(finished: Path) -> None:
    results = finished / "results"
    assert len(table_of(finished, "coli").splitlines()) == 1 + 2 * NUM_PAIRS
    evaluation = json.loads((results / "evaluation.json").read_text())
    assert evaluation["reads"] == {"in": 2 * NUM_PAIRS, "ood": NUM_OOD}
    assert evaluation["metrics"]["auroc"]["value"] > 0.7
    card = (results / "calibrated" / "MODEL_CARD.md").read_text()
    assert "genood calibrate" in card
    for sample in ("coli", "others"):
        assert summary_of(finished, sample)["bundle"]["path"] == "results/calibrated"
        assert f"<title>{sample}" in (results / "reports" / f"{sample}.html").read_text()
    assert sorted(path.name for path in (results / "scores").iterdir()) == ["coli.tsv.gz", "others.tsv.gz"]
    assert (results / "multiqc" / "multiqc_report.html").exists() == HAS_MULTIQC


def test_the_reads_that_are_called(finished: Path) -> None:
    with dnaio.open(finished / "results" / "ood" / "others" / "reads.fastq.gz") as file:
        names = [record.id for record in file]
    rows = [row.split("\t") for row in table_of(finished, "others").splitlines()]
    assert names == [row[0] for row in rows if row[-1] == "ood"]
    assert len(names) == summary_of(finished, "others")["calls"]["ood"] > 100
    folder = finished / "results" / "ood" / "coli"
    with dnaio.open(folder / "R1.fastq.gz", folder / "R2.fastq.gz") as pairs:
        assert sum(1 for _ in pairs) == summary_of(finished, "coli")["pairs"]["ood"]


def test_what_is_temporary_is_gone_and_nothing_is_done_twice(finished: Path) -> None:
    assert not [path for path in (finished / "results" / "parts").rglob("*") if path.is_file()]
    assert not (finished / "results" / "pooled" / "in.tsv").exists()
    again = run_case(finished, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_snakemakes_own_report(finished: Path) -> None:
    result = run_case(finished, "--report", "report.zip")
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(finished / "report.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        page = archive.read("report/report.html").decode()
    assert {
        "coli.html",
        "others.html",
        "bundle.html",
        "coli.json",
        "evaluation.tsv",
        "MODEL_CARD.md",
    } <= names
    assert "95 % interval" in page  # of the captions


def test_the_same_in_one_part_and_without_the_workflow(finished: Path, tmp_path: Path) -> None:
    case = new_case(
        tmp_path,
        bundle="results/calibrated",
        score={"parts": 1, "fdr": FDR},
        report={"enabled": False},
        multiqc={"enabled": False},
    )
    (case / "reads").symlink_to(finished / "reads")
    (case / "results").mkdir()
    (case / "results" / "calibrated").symlink_to(finished / "results" / "calibrated")
    (case / "config" / "samples.tsv").write_text(
        "sample\treads\tmates\ncoli\treads/R1.fastq.gz\treads/R2.fastq.gz\n"
    )
    result = run_case(case)
    assert result.returncode == 0, result.stderr
    assert table_of(case, "coli") == table_of(finished, "coli")
    assert summary_of(case, "coli") == summary_of(finished, "coli")
    command = ["score", "-m", "results/calibrated", "--paired", "reads/R1.fastq.gz", "reads/R2.fastq.gz"]
    outputs = ["-o", "whole.tsv", "--summary", "results/summaries/whole.json", "--fdr", str(FDR)]
    subprocess.run([sys.executable, "-m", "genood", *command, *outputs, "-q"], cwd=case, check=True)
    assert table_of(case, "coli") == (case / "whole.tsv").read_text()
    assert summary_of(case, "coli") == summary_of(case, "whole")


def test_mates_without_qualities(finished: Path, tmp_path: Path) -> None:
    """Mates in files of FASTA are split, scored and gathered as those of FASTQ are."""
    case = new_case(
        tmp_path,
        bundle="bundle",
        score={"parts": 2, "ood_reads": True},
        report={"enabled": False},
        multiqc={"enabled": False},
    )
    (case / "bundle").symlink_to(finished / "results" / "calibrated")
    for mate in ("R1", "R2"):
        with dnaio.open(finished / "reads" / f"{mate}.fastq.gz") as reads:
            (case / f"{mate}.fa").write_text("".join(f">{read.name}\n{read.sequence}\n" for read in reads))
    (case / "config" / "samples.tsv").write_text("sample\treads\tmates\ncoli\tR1.fa\tR2.fa\n")
    result = run_case(case)
    assert result.returncode == 0, result.stderr
    columns = ["read_id", "mate", "llr", "p_value", "pair_p_value"]
    table, of_fastq = (pd.read_csv(io.StringIO(table_of(one, "coli")), sep="\t") for one in (case, finished))
    pd.testing.assert_frame_equal(table[columns], of_fastq[columns])
    for mate in (1, 2):
        called = table.loc[(table["pair_call"] == "ood") & (table["mate"] == mate), "read_id"].tolist()
        with dnaio.open(case / "results" / "ood" / "coli" / f"R{mate}.fasta.gz") as reads:
            assert [read.name for read in reads] == called != []


def test_an_evaluation_of_pairs_and_single_reads(finished: Path, tmp_path: Path) -> None:
    """Tables of pairs have columns of their own."""
    case = new_case(tmp_path, bundle="bundle", report={"enabled": False}, multiqc={"enabled": False})
    (case / "bundle").symlink_to(finished / "results" / "calibrated")
    (case / "reads").symlink_to(finished / "reads")
    rows = [
        ("sample", "reads", "mates", "truth"),
        ("pairs", "reads/R1.fastq.gz", "reads/R2.fastq.gz", "in"),
        ("single", "reads/control.fastq.gz", "", "in"),
        ("others", "reads/others.bam", "", "ood"),
    ]
    (case / "config" / "samples.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    result = run_case(case, "--notemp")
    assert result.returncode == 0, result.stderr
    evaluation = json.loads((case / "results" / "evaluation.json").read_text())
    assert evaluation["reads"] == {"in": 1650 + NUM_PAIRS, "ood": NUM_OOD}
    pooled = pd.read_csv(case / "results" / "pooled" / "in.tsv", sep="\t")
    alone = [pd.read_csv(io.StringIO(table_of(case, name)), sep="\t") for name in ("pairs", "single")]
    pd.testing.assert_frame_equal(pooled, pd.concat(alone, join="inner", ignore_index=True))


@pytest.mark.skipif(not HAS_MULTIQC, reason="MultiQC is not installed")
def test_samples_that_multiqc_would_call_the_same(finished: Path, tmp_path: Path) -> None:
    case = new_case(tmp_path, bundle="bundle", report={"enabled": False})
    (case / "bundle").symlink_to(finished / "results" / "calibrated")
    (case / "reads").symlink_to(finished / "reads")
    (case / "config" / "samples.tsv").write_text(
        "sample\treads\nrun.fastq\treads/R1.fastq.gz\nrun.bam\treads/others.bam\n"
    )
    result = run_case(case)
    assert result.returncode == 0, result.stderr
    data = case / "results" / "multiqc" / "multiqc_report_data" / "multiqc_genood.txt"
    assert pd.read_csv(data, sep="\t")["Sample"].tolist() == ["run.bam", "run.fastq"]


KILLED = """#!{python}
import os, sys, signal
from genood.cli import main
from genood.writers import ScoreTableWriter

if "score" in sys.argv and "2-of-3" in " ".join(sys.argv) and not os.path.exists({flag!r}):
    def write(self, scored):
        open({flag!r}, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    ScoreTableWriter.write = write
main()
"""


def test_a_part_that_is_killed_is_scored_again_alone(finished: Path, tmp_path: Path) -> None:
    case = new_case(
        tmp_path, bundle="bundle", score={"parts": 3}, report={"enabled": False}, multiqc={"enabled": False}
    )
    (case / "bundle").symlink_to(finished / "results" / "calibrated")
    (case / "config" / "samples.tsv").write_text(
        f"sample\treads\ncontrol\t{finished}/reads/control.fastq.gz\n"
    )
    # The command, but for a kill -9 when part 2 has its first scores, the first time.
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "genood"
    command.write_text(KILLED.format(python=sys.executable, flag=str(tmp_path / "killed")))
    command.chmod(0o755)
    result = run_case(case, "--keep-going", extra=path_with(tmp_path / "bin"))
    assert result.returncode == 1
    parts = case / "results" / "parts" / "control"
    tables = sorted(parts.glob("*.tsv.zst"))
    assert [path.name for path in tables] == ["1-of-3.tsv.zst", "3-of-3.tsv.zst"]
    times = [path.stat().st_mtime_ns for path in tables]
    again = run_case(case, "--notemp", extra=path_with(tmp_path / "bin"))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("rule score_part:") == 1
    assert "rule split:" not in again.stderr
    assert [path.stat().st_mtime_ns for path in tables] == times
    assert len(table_of(case, "control").splitlines()) == 1 + 1650 - NUM_PAIRS


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "config.yaml",
            "score:",
            "scores:",
            "configuration: Additional properties are not allowed ('scores' was",
        ),
        (
            "config.yaml",
            "parts: 4",
            "parts: many",
            "configuration, score: parts: 'many' is not of type 'integer'",
        ),
        ("config.yaml", "samples:", "bundle: b\nsamples:", "not bundle and train: reference"),
        ("samples.tsv", "\tood", "\tmaybe", "config/samples.tsv, line 3, truth: 'maybe' is not one of"),
        ("samples.tsv", "others", "coli", "named twice: coli"),
        (
            "samples.tsv",
            "in.fasta.gz",
            "missing.fasta.gz",
            "sample coli: no such file: ../../examples/reads/missing",
        ),
    ],
)
def test_mistakes_stop_it_before_anything_runs(
    case: Path, file: str, old: str, new: str, message: str
) -> None:
    path = case / "config" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    result = run_case(case)
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
    assert not (case / "results").exists()


INTERRUPTED = """#!/bin/sh
echo "$*" >> {calls}
mkdir -p results/bundle_in_training
if [ -e results/bundle_in_training/{left} ]; then
    touch results/bundle_in_training/genood.json
else
    mkdir results/bundle_in_training/{left}
    exit 137
fi
"""


@pytest.mark.parametrize("left", [CHECKPOINT_FILE, FIRST_MEMBER])
def test_an_interrupted_training_goes_on(case: Path, tmp_path: Path, left: str) -> None:
    calls, command = tmp_path / "calls", tmp_path / "bin" / "genood"
    command.parent.mkdir()
    command.write_text(INTERRUPTED.format(calls=calls, left=left))
    command.chmod(0o755)
    result = run_case(case, "results/bundle", extra=path_with(command.parent))
    assert result.returncode == 1
    assert not (case / "results" / "bundle").exists()
    result = run_case(case, "results/bundle", extra=path_with(command.parent))
    assert result.returncode == 0, result.stderr
    first, second = calls.read_text().splitlines()
    assert second == f"{first} --resume"
    assert (case / "results" / "bundle" / "genood.json").exists()


def test_only_what_is_asked_for(case: Path) -> None:
    sheet = case / "config" / "samples.tsv"
    rows = [line.split("\t")[:2] for line in sheet.read_text().splitlines()]
    sheet.write_text("".join("\t".join(row) + "\n" for row in rows))
    (case / "config" / "config.yaml").write_text(
        json.dumps({"samples": "config/samples.tsv", "build": {"options": "--num-in 3"}})
    )
    result = run_case(case, "--dry-run", "--printshellcmds")
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    assert "genood-prep build -o results/dataset -t 2 --num-in 3" in output
    assert "genood train results/dataset/dataset -o results/bundle_in_training" in output
    assert output.count("rule score_part:") == 2
    # There is no truth, there are no controls, and the reads that are called are not wanted.
    for rule in ("evaluate", "calibrate", "ood_reads", "benchmark"):
        assert f"rule {rule}:" not in output


def test_every_key_is_documented() -> None:
    """Of the configuration, by section, and of the sample sheet."""
    text = (ROOT / "docs" / "pipelines.md").read_text()
    config, sheet = (
        yaml.safe_load((WORKFLOWS / "schemas" / f"{name}.schema.yaml").read_text())["properties"]
        for name in ("config", "samples")
    )
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    for key, schema in config.items():
        for name in schema.get("properties", [None]):
            found = any(row.startswith(f"| `{key}") and (name or "") in row for row in rows)
            assert found, (key, name)
    for column in sheet:
        assert any(row.startswith(f"| `{column}` |") for row in rows), column


def test_profiles() -> None:
    """Each under both names that Snakemake reads, and of rules that there are."""
    rules = "".join(path.read_text() for path in WORKFLOWS.glob("rules/*.smk"))
    folders = sorted((WORKFLOWS / "profiles").iterdir())
    assert [folder.name for folder in folders] == ["local", "slurm", "slurm-gpu"]
    for folder in folders:
        with (folder / "profile.yaml").open() as stream, (folder / "config.yaml").open() as same:
            profile = ProfileConfigFileParser().parse(stream)
            assert profile == ProfileConfigFileParser().parse(same)
        assert profile["rerun-incomplete"] == "True"
        for key in ("set-threads", "set-resources"):
            for entry in profile.get(key, []):
                assert f"rule {re.split('[:=]', entry)[0]}:" in rules
                # A number would take the place of what a rule asks for at its second try.
                assert ":mem_mb=" not in entry or "attempt *" in entry
        assert "slurm-array-jobs" not in profile


def test_a_benchmark_cell_by_cell(case: Path) -> None:
    result = run_case(case, "benchmark")
    assert result.returncode == 0, result.stderr
    results = case / "results" / "benchmark"
    assert sorted(path.name for path in (results / "done").iterdir()) == [
        "score-markov-seed0",
        "train-markov-seed0",
    ]
    assert (results / "table.md").read_text().count("| Markov chain, ") == 2
    assert not (case / "results" / "bundle").exists()
    again = run_case(case, "benchmark", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
