"""What options of genood-prep may be: numbers, and names of outputs; and what is on standard output."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from prep.toy_genbank import CONFIG
from toys import uniform_codes, write_fasta

from data_prep.build import open_build
from data_prep.cli import cli
from data_prep.lock import sole_writer
from data_prep.tsv import standard_output, write_table
from genood.errors import ConfigError

PROGRAM = Path(sys.executable).with_name("genood-prep")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A genome of a class whose letters are not those of every locale."""
    write_fasta(tmp_path / "a.fna", {"r": uniform_codes(1000, 0)})
    path = tmp_path / "t.tsv"
    path.write_text("file\tclass\tsplit\na.fna\tBacteroïdes Ω\ttrain_in\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        (("download", "--jobs", "1000000000"), "1<=x<=1024"),
        (("reads", "-t", "2147483648"), "1<=x<=1024"),
        (("distance", "-t", "2147483648"), "1<=x<=1024"),
        (("reads", "--length", "1" + 30 * "0"), "1<=x<=10000000"),
        (("gc", "--length", "9223372036854775807"), "1<=x<=10000000"),
        (("reads", "--reads-per-class", "1" + 30 * "0"), "1<=x<=1000000000"),
        (("build", "--split-reads", "train_in=1" + 30 * "0"), "1<=x<=1000000000"),
    ],
)
def test_numbers_that_no_machine_has(arguments: tuple[str, ...], limits: str) -> None:
    result = CliRunner().invoke(cli, [*arguments, "t.tsv", "-o", "o"])
    assert result.exit_code == 2
    assert f"is not in the range {limits}" in result.output


def test_more_digits_than_python_reads() -> None:
    result = CliRunner().invoke(cli, ["reads", "--split-reads", f"train_in={'9' * 5000}", "t.tsv", "-o", "o"])
    assert result.exit_code == 2
    assert "is not a valid integer" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("reads", "t.tsv"),
        ("download", "t.tsv"),
        ("build", "t.tsv"),
        ("published", "t.tsv"),
        ("distance", "t.tsv", "--genomes", "."),
        ("gc", "t.tsv"),
        ("gc", "t.tsv", "--reads-out", ""),
    ],
)
def test_an_output_without_a_name(
    table: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """As of a shell's variable that is not set."""
    monkeypatch.chdir(table.parent)
    logger = logging.getLogger("genood")
    monkeypatch.setattr(logger, "setLevel", lambda level: None)  # or it stays so for other tests
    table.write_text(f"{table.read_text()}b.fna\tBeta\tval_ood\n")
    (table.parent / "b.fna").write_text(">r\nACGT\n")
    if arguments[0] == "download":
        table.write_text("file\tpath\nx\thttps://example.org/x\n")
    before = sorted(table.parent.iterdir())
    result = CliRunner().invoke(cli, [*arguments, "-o", ""])
    assert result.exit_code == 2
    assert re.search(r"Error: Invalid value for '.*': is empty\.$", result.output.strip())
    assert sorted(table.parent.iterdir()) == before


def test_directories_are_not_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = "^-: the output of a build is a directory; it cannot go to standard output$"
    with pytest.raises(ConfigError, match=message), open_build("-", CONFIG):
        pass
    assert not list(tmp_path.iterdir())
    with sole_writer("./-", "download"):
        assert [path.name for path in tmp_path.iterdir()] == ["-"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("gc", "t.tsv"),
        ("gc", "t.tsv", "-o", "/dev/stdout"),
        ("reads", "t.tsv", "-o", "d", "--reads-per-class", "3"),
    ],
)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_tables_are_utf8_in_every_locale(table: Path, arguments: tuple[str, ...], encoding: str) -> None:
    result = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        cwd=table.parent,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert "Bacteroïdes Ω".encode() in result.stdout


def test_a_table_comes_after_what_was_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTF-8, though a program of somebody else's prints in ASCII."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    print("first")
    write_table("-", ["ä"], [["Ω"], [None]])
    with standard_output() as stream:
        stream.write("ü\n")
    print("last", flush=True)
    assert written.getvalue().decode() == "first\nä\nΩ\n\nü\nlast\n"
