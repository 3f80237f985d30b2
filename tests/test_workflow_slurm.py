"""The profile for SLURM on a SLURM of one node, which runs on this machine for as long as the test does."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from workflow_runs import GENOOD, ROOT, WORKFLOWS, environment, path_with, snakemake

READS = ROOT / "examples" / "reads" / "in.fasta.gz"
GENOME = WORKFLOWS / "wrapper" / "bio" / "genood" / "train" / "test" / "genomes" / "Portiera__BT-B-HRs.fasta"
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scontrol")
PLUGIN = "snakemake_executor_plugin_slurm"
MISSING = [name for name in COMMANDS if shutil.which(name) is None]
if importlib.util.find_spec(PLUGIN) is None:
    MISSING.append(PLUGIN)
PARTS = """
rule all:
    input: expand("{{part}}-of-3.tsv", part=[1, 2, 3])

rule score_part:
    output: "{{part}}-of-3.tsv"
    threads: 2
    shell: "genood score -q -m bundle {reads} -o {{output}} -t {{threads}}"
"""
CONFIGURATION = """\
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=128000
PartitionName=my_partition Nodes=ALL Default=YES
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which commands find a SLURM without accounting."""
    folder, commands = tmp_path / "slurm", tmp_path / "bin"
    for path in (folder, folder / "state", folder / "spool", commands):
        path.mkdir()
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = {"controller": one.getsockname()[1], "node": two.getsockname()[1]}
    host, conf = socket.gethostname().split(".")[0], folder / "slurm.conf"
    conf.write_text(CONFIGURATION.format(host=host, user=Path.home().owner(), folder=folder, **ports))
    # The plugin takes SLURM's variables out of a job's environment, the place of a configuration among them.
    srun = commands / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    key = folder / "key"
    key.write_bytes(bytes(range(128)))
    key.chmod(0o600)
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge"]
    files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    variables = {**path_with(commands), "SLURM_CONF": str(conf)}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in ([*munge, *files], ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            with (folder / f"{command[0]}.out").open("wb") as out:
                daemons.append(
                    subprocess.Popen(
                        command, env=environment(variables), stdout=out, stderr=subprocess.STDOUT
                    )
                )
            time.sleep(1)
        deadline = time.monotonic() + 30
        while "idle" not in (said := asked("sinfo", "-h", "-o", "%t", extra=variables)):
            if time.monotonic() > deadline:
                log = "".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.out")))
                pytest.skip(f"SLURM does not start here: {said} {log}")
            time.sleep(0.2)
        yield variables
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=30)


def asked(*command: str, extra: dict[str, str]) -> str:
    """What a command prints, where it works."""
    return subprocess.run(command, env=environment(extra), check=False, capture_output=True, text=True).stdout


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_more_parts_than_jobs_at_a_time(tmp_path: Path, cluster: dict[str, str]) -> None:
    """Without accounts, and so with squeue. As arrays, the plugin would submit none of these parts."""
    train = [GENOOD, "train", "-q", GENOME, "-o", tmp_path / "bundle", "--model", "markov", "--order", "3"]
    subprocess.run(train, check=True, env=environment())
    (tmp_path / "Snakefile").write_text(PARTS.format(reads=READS))
    (tmp_path / "profile").mkdir()
    profile = (WORKFLOWS / "profiles" / "slurm" / "profile.yaml").read_text()
    (tmp_path / "profile" / "profile.yaml").write_text(profile.replace("  slurm_account: my_account\n", ""))
    status = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2")
    result = snakemake(
        tmp_path, "--workflow-profile", tmp_path / "profile", "--jobs", "1", *status, extra=cluster
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("has been submitted with SLURM jobid") == 3
    first, *others = [(tmp_path / f"{part}-of-3.tsv").read_bytes() for part in (1, 2, 3)]
    assert first
    assert others == [first, first]
