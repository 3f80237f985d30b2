"""Man pages: of every command, with every option, and as those who read man pages take them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from command_lines import PROGRAMS, all_commands

from genood.cli import LazyGroup
from genood.cli.examples import examples_of
from genood.cli.man import write_man_pages


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages by what is typed for the command."""
    folder = tmp_path_factory.mktemp("man")
    written = []
    for program, group in PROGRAMS.items():
        assert isinstance(group, LazyGroup)
        written += write_man_pages(group, program, folder)
    assert sorted(folder.iterdir()) == sorted(written)
    by_name = {path.stem: path for path in written}
    return {typed: by_name[typed.replace(" ", "-")] for typed in all_commands()}


def shown(page: Path) -> str:
    """The text of a page, without what a formatter would read."""
    text = re.sub(r"\\f[BIR]|\\:|\\&", "", page.read_text())
    for escape, character in (("\\-", "-"), ("\\(aq", "'"), ("\\(ti", "~"), ("\\(dq", '"'), ("\\e", "\\")):
        text = text.replace(escape, character)
    return re.sub(r"\\\[u([0-9A-F]{4})\]", lambda code: chr(int(code[1], 16)), text)


def test_pages_say_what_help_says(pages: dict[str, Path]) -> None:
    for typed, command in all_commands().items():
        text = shown(pages[typed])
        assert f".SH SYNOPSIS\n.B {typed}\n" in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in text for option in parameter.opts)
                assert " ".join((parameter.help or "").split("  [")[0].split()) in text
        for line in examples_of(command):
            assert f"\n{line}\n" in text


def test_odd_characters_are_shown(tmp_path: Path) -> None:
    command = click.Command("odd", help=".It's \\μ.\n\n\b\n'two\n  lines", epilog="")
    group = LazyGroup("g", help="A group.", package="", summaries={"odd": "Odd 'text'."})
    group.get_command = lambda ctx, cmd_name: command  # type: ignore[method-assign]
    write_man_pages(group, "g", tmp_path)
    lines = (tmp_path / "g-odd.1").read_text().splitlines()
    start = lines.index(".SH DESCRIPTION")
    assert lines[start + 1 : start + 7] == [
        "\\&.It\\(aqs \\e\\[u03BC].",
        ".PP",
        ".nf",
        "\\&\\(aqtwo",
        "  lines",
        ".fi",
    ]


@pytest.mark.parametrize(
    "reader",
    [
        ("mandoc", "-Tlint", "-Wwarning"),
        ("groff", "-ww", "-man", "-Tutf8", "-z"),
        ("man", "--warnings", "-l"),
    ],
    ids=lambda reader: reader[0],
)
def test_readers_have_no_complaint(pages: dict[str, Path], reader: tuple[str, ...]) -> None:
    if shutil.which(reader[0]) is None:
        pytest.skip(f"no {reader[0]} on this machine")
    result = subprocess.run([*reader, *pages.values()], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    complaints = result.stderr if reader[0] == "man" else result.stdout + result.stderr
    assert complaints == ""
