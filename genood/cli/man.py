"""Man pages of the commands, from their help; setup.py has them made when a package is built."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click

from genood import __version__
from genood.cli import LazyGroup
from genood.cli.examples import examples_of

_UNWRAPPED = "\b\n"
_EXIT_CODES = (
    ("0", "Done."),
    ("1", "Bad data, or a failure; one line on standard error says what is wrong and what to do."),
    ("2", "Wrong usage."),
    ("130", "Interrupted."),
)


def write_man_pages(group: LazyGroup, program: str, directory: str | os.PathLike[str]) -> list[Path]:
    """Write the pages of a program and of its commands, ``PROGRAM.1`` and ``PROGRAM-COMMAND.1``.

    The date on them is today's, or that of ``SOURCE_DATE_EPOCH``, for builds that can be repeated.

    Returns
    -------
    list of Path
        The files.
    """
    context = click.Context(group, info_name=program, **group.context_settings)
    pages = {program: _group_page(group, program, context)}
    for name, summary in group.summaries.items():
        command = group.get_command(context, name)
        assert command is not None
        pages[f"{program}-{name}"] = _command_page(
            command, summary, program, click.Context(command, info_name=name, parent=context)
        )
    paths = []
    for name, page in pages.items():
        path = Path(directory, f"{name}.1")
        path.write_text("\n".join(page) + "\n", encoding="ascii")
        paths.append(path)
    return paths


def _group_page(group: LazyGroup, program: str, context: click.Context) -> Iterator[str]:
    first, *_ = inspect.cleandoc(group.help or "").splitlines()
    yield from _head(program, first, context)
    yield ".SH COMMANDS"
    for name, summary in group.summaries.items():
        yield ".TP"
        yield f".BR {_escape(f'{program}-{name}')} (1)"
        yield _text(summary)
    yield from _tail(group, context)


def _command_page(
    command: click.Command, summary: str, program: str, context: click.Context
) -> Iterator[str]:
    yield from _head(f"{program}-{context.info_name}", summary, context)
    yield from _tail(command, context)
    yield ".SH SEE ALSO"
    yield f".BR {_escape(program)} (1)"


def _head(name: str, summary: str, context: click.Context) -> Iterator[str]:
    """Title, name, synopsis and description."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    yield f'.TH "{_escape(name.upper())}" "1" "{date}" "genood {__version__}" "User Commands"'
    yield ".ad l"
    yield ".SH NAME"
    yield f"{_escape(name)} \\- {_escape(summary.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_escape(context.command_path)}"
    yield _text(" ".join(context.command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(inspect.cleandoc(context.command.help or ""))


def _tail(command: click.Command, context: click.Context) -> Iterator[str]:
    """Options, exit status and examples."""
    yield ".SH OPTIONS"
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record is not None:
            yield ".TP"
            yield _names(record[0])
            yield _text(record[1])
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_CODES:
        yield ".TP"
        yield f".B {code}"
        yield _text(meaning)
    yield ".SH EXAMPLES"
    yield ".nf"
    yield from map(_text, examples_of(command))
    yield ".fi"


def _names(names: str) -> str:
    """An option's names in bold, what it takes in italics."""
    last = list(re.finditer(r"(?<![\w-])--?\w[\w-]*", names))[-1].end()
    options = ", ".join(f"\\fB{_escape(name)}\\fR" for name in names[:last].split(", "))
    takes = _escape(names[last:].strip()).replace("|", "|\\:")  # where a long list may be broken
    return f"{options} \\fI{takes}\\fR" if takes else options


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help text; those that click does not wrap keep their lines."""
    for number, paragraph in enumerate(re.split(r"\n\n+", text)):
        if number:
            yield ".PP"
        if paragraph.startswith(_UNWRAPPED):
            yield ".nf"
            yield from map(_text, paragraph.removeprefix(_UNWRAPPED).splitlines())
            yield ".fi"
        else:
            yield _text(" ".join(paragraph.split()))


def _text(line: str) -> str:
    """A line that is no request, whatever it begins with."""
    escaped = _escape(line)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def _escape(text: str) -> str:
    """Text as it is to be shown, in ASCII."""
    special = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
    return "".join(special.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in text)
