"""The help of every command and option: that it is there, and that its examples can be typed."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from command_lines import PROGRAMS, all_commands, calls_in, context_of, parse
from markdown_it import MarkdownIt

from genood.cli.examples import examples, examples_of

COMMANDS = all_commands()
EXAMPLES = [(typed, line) for typed, command in COMMANDS.items() for line in examples_of(command)]
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "workflows" / "README.md"]


def test_the_walk_finds_the_commands() -> None:
    assert {"genood", "genood score", "genood-prep", "genood-prep reads"} <= set(COMMANDS)


@pytest.mark.parametrize("typed", COMMANDS)
def test_a_command_says_what_it_does_and_ends_with_an_example(typed: str) -> None:
    command = COMMANDS[typed]
    program, _, name = typed.partition(" ")
    context = context_of(program)
    text = command.get_help(click.Context(command, info_name=name, parent=context) if name else context)
    assert command.help
    lines = examples_of(command)
    assert any(words[: len(typed.split())] == typed.split() for line in lines for words in calls_in(line))
    # Nothing comes after the examples, and none is wrapped.
    title, *shown = re.split(r"\n(?=  Examples?:\n)", text)[-1].splitlines()
    assert title.strip() in ("Example:", "Examples:")
    joined = re.sub(r" *\\\n *", " ", "\n".join(shown))
    assert [line.strip() for line in joined.splitlines()] == lines
    assert max(map(len, shown)) <= 100


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_option_has_help(typed: str) -> None:
    for parameter in COMMANDS[typed].params:
        if isinstance(parameter, click.Option):
            assert (parameter.help or "").endswith((".", "]")), parameter.opts
            assert not parameter.hidden, parameter.opts


@pytest.mark.parametrize(("typed", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_can_be_typed(typed: str, line: str) -> None:
    calls = list(calls_in(line))
    assert calls
    for words in calls:
        assert words[0] == typed.split()[0]
        parse(words)


def lines_of_code(page: Path) -> list[str]:
    """Lines of a page's code, fenced or indented, that begin with one of the programs."""
    blocks = [
        token.content
        for token in MarkdownIt().parse(page.read_text())
        if token.type in ("fence", "code_block")
    ]
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.partition(" ")[0] in PROGRAMS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_of_a_page_can_be_typed(page: Path) -> None:
    for line in lines_of_code(page):
        for words in calls_in(line):
            try:
                parse(words)
            except click.UsageError as error:
                pytest.fail(f"{page.name}: {line}: {error.format_message()}")


def test_pages_have_command_lines() -> None:
    assert sum(len(lines_of_code(page)) for page in PAGES) > 40


@pytest.mark.parametrize(
    "line",
    ["genood scorn reads.fa", "genood score -m bundle reads.fa --detector oracle", "genood info --all b"],
)
def test_a_stale_example_is_seen(line: str) -> None:
    (words,) = calls_in(f"cat reads.fa | {line} > table.tsv")
    with pytest.raises(click.UsageError):
        parse(words)


def test_examples_are_found_again() -> None:
    command = click.Command("c", epilog=examples("genood info a", "genood info \\\n    b"))
    assert examples_of(command) == ["genood info a", "genood info b"]
    assert command.epilog == "\b\nExamples:\n  genood info a\n  genood info \\\n      b"
    assert examples_of(click.Command("c", epilog="An example.")) == []
    assert examples_of(click.Command("c")) == []
