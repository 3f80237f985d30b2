"""The `genood` command as a whole: help, version, exit codes, and what goes to which stream."""

from __future__ import annotations

import importlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Genood, StartGenood
from toys import markov_codes, write_fasta

from genood import __version__

COMMANDS = (
    "index",
    "train",
    "join",
    "tune",
    "score",
    "split",
    "gather",
    "calibrate",
    "evaluate",
    "report",
    "benchmark",
    "attack",
    "info",
    "completion",
)
HEAVY = {"torch", "numba", "numpy", "pandas", "sklearn", "rich", "pysam"}


def test_version(genood: Genood) -> None:
    result = genood("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"genood {__version__}\n", "")


def test_help_lists_the_commands(genood_here: Genood) -> None:
    result = genood_here("--help")
    assert (result.returncode, result.stderr) == (0, "")
    listed = result.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(genood_here: Genood, command: str) -> None:
    long, short = genood_here(command, "--help"), genood_here(command, "-h")
    assert (long.returncode, long.stderr) == (0, "")
    assert long.stdout.startswith(f"Usage: genood {command} [OPTIONS] ")
    assert re.search(r"^ *Examples?:$", long.stdout, re.MULTILINE)
    for option in ("-v, --verbose", "-q, --quiet", "--debug", "-h, --help"):
        assert option in long.stdout
    assert short.stdout == long.stdout


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)], ids=lambda a: " ".join(a))
def test_help_imports_little(arguments: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "genood", *arguments, "--help"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    # What every command's module imports; that module itself is imported out of this list's sight.
    assert ("genood.cli.options" if arguments else "genood.cli") in imported
    assert not HEAVY & imported


USAGE = {
    "no command": ((), "Usage: genood "),
    "no arguments": (("score",), "Usage: genood score "),
    "unknown command": (("scorn",), "No such command 'scorn'"),
    "unknown option": (("score", "--colour", "red"), "No such option"),
    "tuning of sketches": (("tune", "genome.fa", "-o", "tuning", "--model", "sketch"), "'sketch' is not"),
    "no reads": (("score", "-m", "bundle"), "Missing argument 'READS...'"),
    "alpha above 1": (("score", "-m", "bundle", "reads.fa", "--alpha", "2"), "2.0 is not in the range 0<x<1"),
    "alpha of 0": (("score", "-m", "bundle", "reads.fa", "--alpha", "0"), "0.0 is not in the range 0<x<1"),
    "unknown detector": (
        ("score", "-m", "bundle", "reads.fa", "--detector", "oracle"),
        "'oracle' is not one of",
    ),
    "no threads": (("score", "-m", "bundle", "reads.fa", "-t", "0"), "0 is not in the range 1<=x<=1024"),
    "threads": (("score", "-m", "bundle", "reads.fa", "-t", "100000"), "not in the range 1<=x<=1024"),
    "windows": (
        ("score", "-m", "bundle", "reads.fa", "--regions", "o.bed", "--windows", "99999999999999999999"),
        "is not in the range 1<=x<=2147483647",
    ),
    "no output": (("train", "genome.fa"), "Missing option '-o' / '--output'"),
    "no steps": (("train", "genome.fa", "-o", "bundle", "--steps", "0"), "0 is not in the range x>=1"),
    "unknown model": (("train", "genome.fa", "-o", "bundle", "--model", "oracle"), "'oracle' is not"),
    "unknown preset": (("train", "genome.fa", "-o", "bundle", "--preset", "huge"), "'huge' is not one of"),
    "negative seed": (("train", "genome.fa", "-o", "bundle", "--seed", "-1"), "-1 is not in the range x>=0"),
    "one table": (("evaluate", "in.tsv"), "Missing argument 'OOD.tsv'"),
    "two bundles": (("info", "one", "two"), "Got unexpected extra argument (two)"),
}


@pytest.mark.parametrize(("arguments", "says"), USAGE.values(), ids=USAGE)
def test_usage(
    genood_here: Genood,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = genood_here(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_error_is_one_line(genood: Genood, tmp_path: Path) -> None:
    result = genood("info", "none", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "genood: error: none: is not a bundle (no genood.json); genood train writes one\n"
    )


def test_debug_shows_a_traceback(genood: Genood, tmp_path: Path) -> None:
    result = genood("info", "none", "--debug", cwd=tmp_path)
    first, *_, last = result.stderr.splitlines()
    assert result.returncode == 1
    assert first == "Traceback (most recent call last):"
    assert last == "genood: error: none: is not a bundle (no genood.json); genood train writes one"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RuntimeError("two\nlines"), "internal error: RuntimeError: two lines (--debug shows more)"),
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "some.tsv"), "some.tsv: Permission denied"),
    ],
)
def test_unforeseen_errors(
    genood_here: Genood, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("genood.evaluation.tables"), "evaluate_tables", fail)
    result = genood_here("evaluate", "in.tsv", "ood.tsv")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"genood: error: {says}\n")


def test_interrupt_anywhere(genood_here: Genood, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("genood.evaluation.tables"), "evaluate_tables", interrupt)
    result = genood_here("evaluate", "in.tsv", "ood.tsv")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "genood: interrupted\n")


def test_interrupt_in_an_import(tmp_path: Path) -> None:
    """Compiled modules lose exceptions while they are set up, as this one does; the interrupt comes later."""
    (tmp_path / "lossy.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    sum(range(1_000_000))\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "done = True\n"
    )
    (tmp_path / "program.py").write_text(
        "import time\n"
        "import click\n"
        "from genood.cli import Group, run\n"
        "@click.group(cls=Group)\n"
        "def cli():\n"
        "    pass\n"
        "@cli.command()\n"
        "def wait():\n"
        "    import lossy\n"
        "    print(lossy.done, flush=True)\n"
        "    time.sleep(60)\n"
        "run(cli, 'program')\n"
    )
    result = subprocess.run(
        [sys.executable, "program.py", "wait"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (result.returncode, result.stdout) == (130, "True\n")
    assert result.stderr == "program: interrupted\n"


def test_closed_pipe_on_info(start_genood: StartGenood, bundle_dir: Path) -> None:
    """The pipe is closed before there is anything to write."""
    with start_genood("info", bundle_dir) as process:
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr.read() == b""


def test_progress_on_a_terminal(bundle_dir: Path, tmp_path: Path) -> None:
    """Only there: other tests see an empty stderr. Standard output stays the table's."""
    reads = write_fasta(tmp_path / "reads.fa", {"r1": markov_codes(80, 1), "r2": markov_codes(90, 2)})
    command = [sys.executable, "-m", "genood", "score", "-m", bundle_dir, reads, "--device", "cpu"]
    ours, theirs = pty.openpty()
    try:
        result = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.returncode == 0
    assert "2 reads" in shown
    assert "170 bases" in shown
    assert len(result.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("train", "none.fa", "-o", ""), "'-o' / '--output'"),
        (("train", "", "-o", "b"), "'FASTA|INDEX|DATASET...'"),
        (("score", "none.fq", "--summary", ""), "'--summary'"),
        (("train", "none.fa", "-o", "b", "--val", "a.fa", "--val", ""), "'--val'"),
    ],
)
def test_empty_values(genood_here: Genood, arguments: tuple[str, ...], option: str) -> None:
    """As a shell passes for a variable that is not set."""
    result = genood_here(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: Invalid value for {option}: is empty."
