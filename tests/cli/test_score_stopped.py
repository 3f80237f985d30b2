"""`genood score` when it is stopped, or loses its terminal, its pipes or its place: nothing half-written."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import StartGenood
from refusals import CPU, WINDOW_READS, fastq, snapshot

OLD = "an older table\n"
SOME_READS = WINDOW_READS + 10_000
PROGRAM = (sys.executable, "-m", "genood")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an older table."""
    (tmp_path / "scores.tsv").write_text(OLD)
    return tmp_path


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_rows(process: subprocess.Popen[Any], folder: Path, number: int = 1) -> None:
    """Until rows are in so many temporary files."""
    wait_for(
        lambda: sum(path.stat().st_size > 0 for path in folder.glob(".scores.tsv.*.tmp")) >= number, process
    )


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code", "says", "leftovers"),
    [
        (signal.SIGKILL, -9, b"", 1),
        (signal.SIGTERM, 130, b"genood: interrupted\n", 0),
        (signal.SIGINT, 130, b"genood: interrupted\n", 0),
        (signal.SIGHUP, 130, b"genood: interrupted\n", 0),
    ],
)
def test_stopped_in_the_middle(
    start_genood: StartGenood,
    bundle_dir: Path,
    folder: Path,
    number: signal.Signals,
    code: int,
    says: bytes,
    leftovers: int,
    threads: str,
) -> None:
    """The end of standard input never comes, so that the process is certainly in the middle."""
    before = snapshot(folder)
    arguments = ("-m", bundle_dir, "-", "-o", folder / "scores.tsv", "--device", "cpu", "-t", threads)
    with start_genood("score", *arguments) as process:
        process.stdin.write(fastq(SOME_READS))
        wait_for_rows(process, folder)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr.read() == says
    after = snapshot(folder)
    assert {name: after.pop(name) for name in before} == before
    assert len(after) == leftovers
    assert all(name.endswith(".tmp") for name in after)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_with_windows_at_work(
    start_genood: StartGenood, context_dir: Path, folder: Path, number: signal.Signals
) -> None:
    """Compiled models score several at the same time."""
    before = snapshot(folder)
    with start_genood("score", "-m", context_dir, "-", "-o", folder / "scores.tsv", "-t", "3") as process:
        process.stdin.write(fastq(6 * WINDOW_READS))
        wait_for_rows(process, folder)
        process.send_signal(number)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"genood: interrupted\n"
    assert snapshot(folder) == before


def test_killed_before_the_first_table(start_genood: StartGenood, bundle_dir: Path, tmp_path: Path) -> None:
    with start_genood("score", "-m", bundle_dir, "-", "-o", tmp_path / "scores.tsv", *CPU) as process:
        process.stdin.write(fastq(SOME_READS))
        wait_for_rows(process, tmp_path)
        process.kill()
        process.wait(timeout=60)
    assert not (tmp_path / "scores.tsv").exists()


def test_nohup_goes_on(start_genood: StartGenood, bundle_dir: Path, folder: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a child inherits
    try:
        arguments = ("score", "-m", bundle_dir, "-", "-o", folder / "scores.tsv", *CPU)
        with start_genood(*arguments) as process:
            process.stdin.write(fastq(SOME_READS))
            wait_for_rows(process, folder)
            process.send_signal(signal.SIGHUP)
            process.stdin.write(fastq(10))
            process.stdin.close()
            assert process.wait(timeout=120) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len((folder / "scores.tsv").read_text().splitlines()) == SOME_READS + 11
    assert os.listdir(folder) == ["scores.tsv"]


@pytest.mark.parametrize(("is_ignored", "code"), [(False, 130), (True, 0)])
def test_closed_terminal(bundle_dir: Path, folder: Path, is_ignored: bool, code: int) -> None:
    """Progress is drawn on it when it goes, and the last words have no place either."""
    reads = folder / "reads"
    os.mkfifo(reads)
    ours, theirs = pty.openpty()
    # The first terminal that the leader of a session opens is the one it hears of.
    script = 'exec <"$0" >"$0" 2>"$0"; exec "$@"'
    arguments = [*PROGRAM, "score", "-m", bundle_dir, reads, "-o", folder / "scores.tsv", *CPU]
    command = ["sh", "-c", script, os.ttyname(theirs), *map(str, arguments)]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    with subprocess.Popen(command, start_new_session=True) as process:
        signal.signal(signal.SIGHUP, before)
        os.close(theirs)
        with reads.open("wb") as writer:
            writer.write(fastq(SOME_READS))
            writer.flush()
            wait_for_rows(process, folder)
            os.close(ours)
            if is_ignored:
                writer.write(fastq(SOME_READS))
            else:
                process.wait(timeout=120)
        assert process.wait(timeout=120) == code
    assert sorted(os.listdir(folder)) == ["reads", "scores.tsv"]
    num_rows = len((folder / "scores.tsv").read_text().splitlines())
    assert num_rows == (2 * SOME_READS + 1 if is_ignored else 1)


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_closed_pipe_is_quiet(
    start_genood: StartGenood, bundle_dir: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "reads.fq").write_bytes(fastq(WINDOW_READS + 10))
    arguments = ("score", "-m", bundle_dir, tmp_path / "reads.fq", "-o", output, *CPU)
    with start_genood(*arguments) as process:
        assert process.stdout.readline().startswith(b"read_id\tmate\tlength\t")
        process.stdout.close()
        assert process.wait(timeout=120) == 1
        assert process.stderr.read() == b""


def with_redirection(bundle: Path, folder: Path, redirection: str, *options: str) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of scoring one read, by a shell."""
    (folder / "reads.fa").write_text(">r\nACGT\n")
    command = f'exec "$@" {redirection}'
    arguments = [*PROGRAM, "score", "-m", bundle, "reads.fa", *options]
    result = subprocess.run(
        ["sh", "-c", command, "sh", *arguments], cwd=folder, capture_output=True, timeout=120
    )
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("redirection", [">&-", "<&- >&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_not_needed(bundle_dir: Path, tmp_path: Path, redirection: str) -> None:
    """Without 0, 1 or 2 the table's file would get the free number, and what is said to that one."""
    code, _, said = with_redirection(bundle_dir, tmp_path, redirection, "-o", "scores.tsv")
    assert (code, said) in [(0, b""), (0, b"genood: 1 reads: 1 in, 0 ood, 0 na\n")]
    header, row = (tmp_path / "scores.tsv").read_text().splitlines()
    assert (header.split("\t")[0], row.split("\t")[0]) == ("read_id", "r")


def test_no_place_for_the_table(bundle_dir: Path, tmp_path: Path) -> None:
    for redirection, problem in [
        (">&-", b"is closed; name a file"),
        (">/dev/full", b"cannot be written (No space left on device)"),
    ]:
        said = b"genood: error: standard output: " + problem + b"\n"
        assert with_redirection(bundle_dir, tmp_path, redirection, "-q") == (1, b"", said)
    said = b"genood: error: /dev/full: cannot be written (No space left on device)\n"
    assert with_redirection(bundle_dir, tmp_path, "", "-q", "-o", "/dev/full") == (1, b"", said)
    assert os.listdir(tmp_path) == ["reads.fa"]


def test_two_runs_with_one_output(start_genood: StartGenood, bundle_dir: Path, folder: Path) -> None:
    """The last to end wins, though it began first, and its table is whole."""
    arguments = ("score", "-m", bundle_dir, "-", "-o", folder / "scores.tsv", *CPU)
    with start_genood(*arguments) as slow, start_genood(*arguments) as fast:
        slow.stdin.write(fastq(SOME_READS))
        fast.stdin.write(fastq(SOME_READS + 1))
        wait_for_rows(slow, folder, number=2)
        for process, number in ((fast, SOME_READS + 1), (slow, SOME_READS)):
            process.stdin.close()
            assert process.wait(timeout=120) == 0
            rows = (folder / "scores.tsv").read_text().splitlines()[1:]
            assert [row.split("\t")[0] for row in rows] == [f"r{i}" for i in range(number)]
    assert os.listdir(folder) == ["scores.tsv"]
