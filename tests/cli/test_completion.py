"""Completion, in real shells: what a person types, a tab key, and the line that the shell makes of it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from command_lines import all_commands

from genood.cli.completion import PathName, complete_paths

SECONDS = 60
"""The longest that a shell may take."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Both programs on PATH, an empty home, and a plain terminal."""
    folder = tmp_path_factory.mktemp("programs")
    for name, how in (
        ("genood", "-m genood"),
        ("genood-prep", "-c 'from data_prep.cli import main; main()'"),
    ):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {how} "$@"\n')
        script.chmod(0o755)
    return {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "COLUMNS": "200",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it is typed: reads, a bundle, a table."""
    (tmp_path / "reads.fastq").touch()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "button.txt").touch()
    return tmp_path


def typed(shell: list[str], lines: list[str], environment: dict[str, str], folder: Path) -> str:
    """What an interactive shell writes to its terminal when lines are typed, and then exit."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        os.write(ours, "".join(f"{line}\n" for line in [*lines, "exit"]).encode())
        written = b""
        deadline = time.monotonic() + SECONDS
        with suppress(OSError):  # what a terminal says at its end
            while time.monotonic() < deadline and select.select([ours], [], [], SECONDS)[0]:
                written += os.read(ours, 4096)
        os.close(ours)
        process.kill()
    return written.decode(errors="replace")


def completed(begun: str) -> str:
    """What is typed to complete a line and then print it, rather than run it."""
    to_the_start = "\x01"
    return f"{begun}\t{to_the_start}echo = "


LINES = {
    "a command": ("genood cal", "genood calibrate"),
    "a command of the other": ("genood-prep dist", "genood-prep distance"),
    "an option": ("genood score --kraken-o", "genood score --kraken-output"),
    "a detector": ("genood score --detector relative", "genood score --detector relative-mahalanobis"),
    "a model": ("genood train --model mar", "genood train --model markov"),
    "a directory": ("genood score -m bu", "genood score -m bundle"),
    "a file": ("genood score -m bundle rea", "genood score -m bundle reads.fastq"),
}
AFTER_SIGN = {"a file after =": ("genood score --summary=rea", "genood score --summary=reads.fastq")}
"""Which click's script for zsh cannot do."""


def check(
    shell: list[str],
    setup: list[str],
    begun_lines: dict[str, tuple[str, str]],
    environment: dict[str, str],
    folder: Path,
) -> None:
    lines = [*setup, *(completed(begun) for begun, _ in begun_lines.values())]
    shown = typed(shell, lines, environment, folder)
    for what, (_, expected) in begun_lines.items():
        assert re.search(rf"^= {re.escape(expected)}/? *\r?$", shown, re.MULTILINE), (what, shown)


def test_bash(environment: dict[str, str], folder: Path) -> None:
    setup = ["PS1=", 'eval "$(genood completion bash)"', 'eval "$(genood-prep completion bash)"']
    check(["bash", "--norc", "--noprofile", "-i"], setup, {**LINES, **AFTER_SIGN}, environment, folder)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh on this machine")
def test_zsh(environment: dict[str, str], folder: Path) -> None:
    setup = ["PS1=", "autoload -U compinit; compinit -u"]
    setup += ['eval "$(genood completion zsh)"', 'eval "$(genood-prep completion zsh)"']
    check(["zsh", "-f", "-i"], setup, LINES, environment, folder)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish on this machine")
def test_fish(environment: dict[str, str], folder: Path) -> None:
    lines = ["genood completion fish | source", "genood-prep completion fish | source"]
    lines += [f"complete --do-complete '{begun}'" for begun, _ in LINES.values()]
    result = subprocess.run(
        ["fish", "--no-config", "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    offered = {line.split("\t")[0].rpartition("=")[2] for line in result.stdout.splitlines()}
    offered = {name.removesuffix("/") for name in offered}
    assert {expected.split()[-1].rpartition("=")[2] for _, expected in LINES.values()} <= offered


def test_completion_imports_nothing_heavy(environment: dict[str, str]) -> None:
    for begun in ("genood ", "genood score --detector ", "genood train genome.fa --model "):
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "genood"],
            env={
                **environment,
                "_GENOOD_COMPLETE": "bash_complete",
                "COMP_WORDS": begun,
                "COMP_CWORD": str(begun.count(" ")),
            },
            capture_output=True,
            text=True,
        )
        assert result.stdout.startswith("plain,")
        imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
        assert not {"torch", "numpy", "numba", "rich", "pysam"} & imported


def test_names_in_a_list_are_completed(environment: dict[str, str]) -> None:
    environment = {**environment, "_GENOOD_COMPLETE": "bash_complete", "COMP_CWORD": "4"}
    environment["COMP_WORDS"] = "genood benchmark dataset --methods llr,ent"
    result = subprocess.run(["genood"], env=environment, capture_output=True, text=True)
    assert result.stdout == "plain,llr,entropy\n"


def test_what_is_called_a_directory_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of commands that other tests use too; theirs stay as they were."""
    kinds = {}
    for typed_for_it, command in all_commands().items():
        for parameter in command.params:
            monkeypatch.setattr(parameter, "type", parameter.type)
        complete_paths(command)
        for parameter in command.params:
            if isinstance(parameter.type, PathName):
                kinds[typed_for_it, parameter.opts[0]] = parameter.type.kind
    assert kinds["genood info", "bundle"] == kinds["genood score", "-m"] == "dir"
    assert kinds["genood-prep reads", "--genomes"] == "dir"
    assert kinds["genood train", "inputs"] == kinds["genood-prep gc", "source"] == "file"
    assert kinds["genood score", "reads"] == kinds["genood score", "--bam-out"] == "file"
    assert not {("genood score", "--device"), ("genood report", "--title")} & set(kinds)
    assert not {("genood score", "--detector"), ("genood-prep download", "--base-url")} & set(kinds)


def test_an_unknown_shell_is_refused(environment: dict[str, str]) -> None:
    result = subprocess.run(["genood", "completion", "tcsh"], env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert "'tcsh' is not one of" in result.stderr
