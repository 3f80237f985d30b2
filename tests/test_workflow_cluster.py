"""The workflow on a cluster of a few local nodes, which loses jobs, and what Snakemake makes of that."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from workflow_runs import BIN, GENOOD, ROOT, WORKFLOWS, environment, snakemake

CLUSTER = WORKFLOWS / ".test" / "cluster"
PROFILE = ("--profile", CLUSTER)
READS = ROOT / "examples" / "reads" / "in.fasta.gz"
GENOME = WORKFLOWS / "wrapper" / "bio" / "genood" / "train" / "test" / "genomes" / "Portiera__BT-B-HRs.fasta"
ONE_RULE = """
rule work:
    output: "done"
    shell: "sleep {seconds}; touch {{output}}"
"""


def events(directory: Path) -> list[tuple[str, str, str]]:
    """What happened on the cluster: rule, event and node."""
    rows = (directory / ".cluster" / "events.tsv").read_text().splitlines()
    return [(rule, event, node) for _, _, rule, event, node, _ in (row.split("\t") for row in rows)]


def status(directory: Path, job: str) -> str:
    """What the cluster says of a job."""
    command = [CLUSTER / "status", job]
    said = subprocess.run(
        command, cwd=directory, env=environment(), check=True, capture_output=True, text=True
    )
    return said.stdout.strip()


def test_jobs_that_are_killed_or_lost_or_refused_are_done_again(tmp_path: Path) -> None:
    bundle, config = tmp_path / "bundle", tmp_path / "config"
    train = [GENOOD, "train", "-q", GENOME, "-o", bundle, "--model", "markov", "--order", "3"]
    subprocess.run(train, check=True, env=environment())
    plain = tmp_path / "plain.tsv.gz"
    subprocess.run([GENOOD, "score", "-q", "-m", bundle, READS, "-o", plain], check=True, env=environment())
    config.mkdir()
    (config / "samples.tsv").write_text(f"sample\treads\ncoli\t{READS}\n")
    settings = {"samples": "config/samples.tsv", "bundle": str(bundle), "score": {"parts": 2}}
    (config / "config.yaml").write_text(json.dumps(settings))
    faults = "score_part:1=killed score_part:2=lost gather:1=refused"
    result = snakemake(
        tmp_path,
        *("--snakefile", WORKFLOWS / "Snakefile", *PROFILE, "results/scores/coli.tsv.gz"),
        extra={"CLUSTER_NODES": "2", "CLUSTER_FAULTS": faults},
    )
    assert result.returncode == 0, result.stderr
    assert Counter((rule, event) for rule, event, _ in events(tmp_path)) == {
        ("split", "submitted"): 1,
        ("split", "started"): 1,
        ("split", "ended"): 1,
        # Two parts: one whose tool was killed, one whose node went down; each once more, and the rest not.
        ("score_part", "submitted"): 4,
        ("score_part", "started"): 4,
        ("score_part", "killed"): 1,
        ("score_part", "failed"): 1,
        ("score_part", "lost"): 1,
        ("score_part", "ended"): 2,
        ("gather", "refused"): 1,
        ("gather", "submitted"): 1,
        ("gather", "started"): 1,
        ("gather", "ended"): 1,
    }
    assert {node for _, event, node in events(tmp_path) if event == "started"} == {"node-1", "node-2"}
    with gzip.open(plain) as expected, gzip.open(tmp_path / "results" / "scores" / "coli.tsv.gz") as table:
        assert table.read() == expected.read()


def test_a_status_that_says_nothing_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(ONE_RULE.format(seconds=0))
    result = snakemake(tmp_path, *PROFILE, extra={"CLUSTER_FAULTS": "work:1=silent"})
    # However many retries there are: this is why a status command must always have an answer.
    assert result.returncode == 1
    assert "a single line with one of running,success,failed is expected" in result.stderr
    assert [event for _, event, _ in events(tmp_path)] == ["submitted", "started", "ended", "silent"]
    result = snakemake(tmp_path, *PROFILE)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "done").exists()


def test_what_runs_is_cancelled_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(ONE_RULE.format(seconds=60))
    command = [BIN / "snakemake", *PROFILE]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        log = tmp_path / ".cluster" / "events.tsv"
        deadline = time.monotonic() + 60
        while not (log.is_file() and "started" in log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)  # SIGTERM waits for the jobs
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    assert [event for _, event, _ in events(tmp_path)] == ["submitted", "started", "cancelled"]
    # The lock of a process that was killed may be there for a moment more.
    while (state := status(tmp_path, "job-0001")) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state == "failed"
