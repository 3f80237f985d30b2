"""The commands of both programs, and lines that call them, as they stand in help and documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress

import click

import data_prep.cli
import genood.cli

PROGRAMS: dict[str, click.Group] = {"genood": genood.cli.cli, "genood-prep": data_prep.cli.cli}


def context_of(program: str) -> click.Context:
    """The program's, as it is for its commands."""
    group = PROGRAMS[program]
    return click.Context(group, info_name=program, **group.context_settings)


def all_commands() -> dict[str, click.Command]:
    """Every command by what is typed for it, the programs themselves included."""
    found: dict[str, click.Command] = dict(PROGRAMS)
    for program, group in PROGRAMS.items():
        context = context_of(program)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found[f"{program} {name}"] = command
    return found


def calls_in(line: str) -> Iterator[list[str]]:
    """The words of each call of a program in a line of a shell, without redirections."""
    substituted = re.search(r"\$\((.*)\)", line)
    lexer = shlex.shlex(substituted[1] if substituted else line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in [*lexer, ";"]:
        if skip:
            skip = False
        elif set(word) <= set("<>"):
            skip = True
        elif set(word) <= set("|&;"):
            if words and words[0] in PROGRAMS:
                yield words
            words = []
        else:
            words.append(word)


def parse(words: Sequence[str]) -> None:
    """Have click parse a call as it would before it runs it; a usage error is raised."""
    program, *rest = words
    group = PROGRAMS[program]
    context = context_of(program)
    with suppress(click.exceptions.Exit):  # as of --help and --version
        if not rest or rest[0].startswith("-"):
            group.make_context(program, rest)
            return
        _, command, arguments = group.resolve_command(context, rest)
        assert command is not None
        command.make_context(rest[0], arguments, parent=context)
