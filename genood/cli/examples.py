"""Examples at the end of a command's help: written in one way, so that tests and man pages find them."""

from __future__ import annotations

import click

_UNWRAPPED = "\b"
"""Alone on a line, it keeps click from wrapping the paragraph that follows."""
_INDENT = "  "


def examples(*commands: str) -> str:
    """An epilog that shows how a command is used, for ``epilog`` of `click.command`.

    Parameters
    ----------
    commands
        As typed in a shell. A long one goes on after a backslash and a line's end.
    """
    title = "Example:" if len(commands) == 1 else "Examples:"
    lines = [line for command in commands for line in command.splitlines()]
    return "\n".join([_UNWRAPPED, title, *(_INDENT + line for line in lines)])


def examples_of(command: click.Command) -> list[str]:
    """The command lines that `examples` was given, each in one line; none if it was not used."""
    unwrapped, _, block = (command.epilog or "").partition("\n")
    title, _, lines = block.partition("\n")
    if unwrapped != _UNWRAPPED or title not in ("Example:", "Examples:"):
        return []
    joined = lines.replace("\\\n", "")
    return [" ".join(line.split()) for line in joined.splitlines()]
