"""What the workflow makes of its sample sheet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workflow_runs import run_case

FIRST = "../../examples/reads/in.fasta.gz"
SECOND = "../../examples/reads/ood.fasta.gz"
ONE_MORE = "a tab at the end of a line begins one more"


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        pytest.param(
            f"sample\treads\tmates\nS1\t{FIRST}\t{SECOND}\t\nS2\t{SECOND}\t{FIRST}\t\n",
            f"config/samples.tsv, line 2: has 4 cells, while the header has 3; {ONE_MORE}",
            id="a tab at the end of every row",
        ),
        pytest.param(
            f"sample\treads\n\nS1\t{FIRST}\nS2\t{SECOND}\t\n",
            f"config/samples.tsv, line 4: has 3 cells, while the header has 2; {ONE_MORE}",
            id="a tab at the end of one row",
        ),
        pytest.param(
            f"sample\treads\ttruth\n\nS1\t{FIRST}\tin\n \nS2\t{SECOND}\tmaybe\n",
            "config/samples.tsv, line 5, truth: 'maybe' is not one of ['in', 'ood']",
            id="a value below blank lines",
        ),
        pytest.param(
            f"sample\treads\nS1\t{FIRST}\t\t\tin\nS2\t{SECOND}\n",
            f"config/samples.tsv, line 2: has 5 cells, while the header has 2; {ONE_MORE}",
            id="more cells in the first row",
        ),
        pytest.param(
            "sample\treads\tmates\n",
            "config/samples.tsv: names no sample: it has no row below the header",
            id="no rows",
        ),
        pytest.param(
            "sample\treads\nS1\treads/{lane}.fastq\n",
            "config/samples.tsv, sample S1: reads/{lane}.fastq has a name in braces, which Snakemake takes "
            "for a wildcard; rename it",
            id="braces",
        ),
        pytest.param(
            f"sample\treads\tmates\nS1\t{FIRST}\t../{FIRST[3:].replace('/', '//')}\n",
            f"config/samples.tsv, sample S1: {FIRST} and ../{FIRST[3:].replace('/', '//')} are one file; "
            "reads and mates need mates 1 and mates 2 in two",
            id="one file for both mates",
        ),
        *(
            pytest.param(
                f"sample\treads\tmates\nS1\t{reads}\t{mates}\n",
                f"config/samples.tsv, sample S1: {alignments} holds alignments; both mates of these come in "
                "one file, collated by name, with interleaved as mates",
                id=f"{reads} beside {mates}",
            )
            for reads, mates, alignments in (
                ("x.fastq", "x.bam", "x.bam"),
                ("x.CRAM", "x.fastq.gz", "x.CRAM"),
                ("x_1.sam.gz", "x_2.sam.gz", "x_1.sam.gz"),
            )
        ),
    ],
)
def test_sheets_that_are_refused(case: Path, sheet: str, message: str) -> None:
    """In one line, before it plans anything."""
    (case / "config" / "samples.tsv").write_text(sheet)
    for name in ("x.fastq", "x.bam", "x.CRAM", "x.fastq.gz", "x_1.sam.gz", "x_2.sam.gz"):
        (case / name).touch()
    result = run_case(case, "--dry-run")
    assert result.returncode == 1
    assert message in (result.stdout + result.stderr).splitlines()


def test_files_that_another_workflow_makes_are_not_one_file(case: Path) -> None:
    """Unless their paths are the same."""
    config = {"samples": "config/samples.tsv", "check_files": False, "bundle": "bundle"}
    (case / "config" / "config.yaml").write_text(json.dumps(config))
    sheet = case / "config" / "samples.tsv"
    sheet.write_text("sample\treads\tmates\nS1\tmade/x_1.fq\t./made/x_1.fq\n")
    result = run_case(case, "--dry-run")
    assert result.returncode == 1
    assert "made/x_1.fq and ./made/x_1.fq are one file" in result.stdout + result.stderr
    sheet.write_text("sample\treads\tmates\nS1\tmade/x_1.fq\tmade/x_2.fq\n")
    result = run_case(case, "--dry-run")
    assert "one file" not in result.stdout + result.stderr


def test_only_empty_cells_are_missing(case: Path) -> None:
    """What pandas takes for a missing value is a name as any other."""
    names = ["NA", "null", "None", "nan"]
    rows = ["sample\treads\tmates\ttruth", *(f"{name}\t{FIRST}\t \t" for name in names)]
    (case / "config" / "samples.tsv").write_text("\n".join(rows) + "\n")
    result = run_case(case, "--dry-run")
    assert result.returncode == 0, result.stdout + result.stderr
    for name in names:
        assert f"results/scores/{name}.tsv.gz" in result.stdout + result.stderr
