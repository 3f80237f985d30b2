#!/usr/bin/env python3
"""A cluster of a few nodes on one machine: its submit, status and cancel commands, and jobs that get lost.

A node runs one job at a time; jobs wait for a free one in the order in which they come. There is no daemon:
each job has a process that waits, runs and records, and that holds a lock on a file as long as it lives. So
a job whose process is gone without an exit status is one that was lost.

Environment
-----------
CLUSTER_DIR
    Where jobs are recorded, and what happened, as `events.tsv`. Default: `.cluster` in the working directory.
CLUSTER_NODES
    How many nodes there are. Default: 2.
CLUSTER_FAULTS
    What goes wrong, as `rule:number=fault` with spaces between: the first job of a rule has the number 1, and
    one that is tried again counts anew. Faults are `killed` (the tool is, as where memory runs out), `lost`
    (the node goes down with the job: nothing has its exit status), `refused` (it cannot be submitted) and
    `silent` (asked for its status, the cluster says nothing, once).
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import psutil

DIRECTORY = Path(os.environ.get("CLUSTER_DIR", ".cluster")).absolute()
NUM_NODES = int(os.environ.get("CLUSTER_NODES", "2"))
UNFINISHED = ".tmp"
"""How the name of an output ends that genood is in the midst of writing."""
POLL = 0.02
"""Seconds."""


def submit(*words: str) -> None:
    """Take a job script, the last word; print the job's id."""
    script = Path(words[-1])
    properties = json.loads(script.read_text().splitlines()[1].partition("=")[2])
    rule = properties.get("rule", "group")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (DIRECTORY / "submitting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs = sorted(DIRECTORY.glob("job-*"))
        job = DIRECTORY / f"job-{len(jobs) + 1:04d}"
        job.mkdir()
        (job / "rule").write_text(rule)
        number = 1 + sum((other / "rule").read_text() == rule for other in jobs)
    faults = dict(fault.split("=") for fault in os.environ.get("CLUSTER_FAULTS", "").split())
    fault = faults.get(f"{rule}:{number}", "")
    if fault == "refused":
        record(job, "refused")
        sys.exit("the controller does not answer")
    (job / "fault").write_text(fault)
    record(job, "submitted")
    with (job / "alive").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        # The child holds the lock from now on: it belongs to the file as it was opened, not to a process.
        process = subprocess.Popen(
            [sys.executable, __file__, "run", job.name, str(script)],
            pass_fds=[alive.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=(job / "log").open("w"),
            stderr=subprocess.STDOUT,
        )
    (job / "pid").write_text(str(process.pid))
    print(job.name)


def status(name: str) -> None:
    """Print whether a job is `running` (or waits), had `success` or `failed`."""
    job = DIRECTORY / name
    if not job.is_dir():
        print("failed")  # of another cluster, or forgotten by this one
    elif is_locked(job / "alive"):
        print("running")
    elif (job / "fault").read_text() == "silent":
        (job / "fault").write_text("")  # only once
        record(job, "silent")
    elif not (job / "exit").is_file():
        print("failed")  # nobody will ever say more of it
    else:
        print("success" if (job / "exit").read_text() == "0" else "failed")


def cancel(*names: str) -> None:
    """End jobs, and those that wait before they begin."""
    for name in names:
        job = DIRECTORY / name
        if (job / "pid").is_file() and is_locked(job / "alive"):
            kill_tree(int((job / "pid").read_text()))
            record(job, "cancelled")


def run(name: str, script: str) -> None:
    """Wait for a node, run a job on it, keep its exit status."""
    job = DIRECTORY / name
    fault = (job / "fault").read_text()
    node, held = free_node()
    with held:
        record(job, "started", node)
        process = subprocess.Popen(["sh", script], env={**os.environ, "CLUSTER_NODE": node})
        writer = wait_for_output(process) if fault in ("killed", "lost") else None
        if fault == "lost":
            record(job, "lost", node)
            kill_tree(os.getpid())
        if fault == "killed":
            record(job, "killed", node)
            if writer is not None:
                writer.kill()
        code = process.wait() or (128 + signal.SIGKILL if fault == "killed" else 0)
        (job / "exit.part").write_text(str(code))
        (job / "exit.part").rename(job / "exit")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        record(job, "ended" if code == 0 else "failed", node, used.ru_utime + used.ru_stime)


def free_node() -> tuple[str, IO[str]]:
    """The next node that is free, and what holds it until it is closed."""
    with (DIRECTORY / "queue").open("w") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            for number in range(1, NUM_NODES + 1):
                node = (DIRECTORY / f"node-{number}").open("w")
                try:
                    fcntl.flock(node, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    node.close()
                else:
                    return f"node-{number}", node
            time.sleep(POLL)


def wait_for_output(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The process of a job that is in the midst of writing its output; None if none was seen to the end."""
    while process.poll() is None:
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                if any(file.path.endswith(UNFINISHED) for file in child.open_files()):
                    return child
        except psutil.Error:
            pass  # a process ended while it was looked at
        time.sleep(POLL)
    return None


def kill_tree(pid: int) -> None:
    """Kill a process and all below it, from the top: none can say what became of another. Oneself last."""
    top = psutil.Process(pid)
    below = top.children(recursive=True)
    for process in [*below, top] if pid == os.getpid() else [top, *below]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock on a file."""
    if not path.is_file():
        return False
    with path.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def record(job: Path, event: str, node: str = "", cpu_seconds: float | None = None) -> None:
    """Add a line to what happened: time, job, rule, event, node and, of a job that is over, CPU seconds."""
    used = "" if cpu_seconds is None else f"{cpu_seconds:.2f}"
    line = [f"{time.time():.2f}", job.name, (job / "rule").read_text(), event, node, used]
    with (DIRECTORY / "events.tsv").open("a") as events:
        events.write("\t".join(line) + "\n")


if __name__ == "__main__":
    {"submit": submit, "status": status, "cancel": cancel, "run": run}[sys.argv[1]](*sys.argv[2:])
