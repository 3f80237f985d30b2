"""Print what makes a shell complete commands, options, names and files."""

from __future__ import annotations

import re

import click
from click.shell_completion import CompletionItem, get_completion_class

from genood.cli.examples import examples
from genood.cli.options import logging_options

_DIRECTORIES = {"BUNDLE", "DATASET", "DIR"}
_NO_FILES = {"CLASS", "DEVICE", "HEX", "NAME", "NAME,NAME...", "SPLIT=N", "TEXT", "URL"}
"""What the help calls values that name directories, and those that name neither these nor files."""


class PathName(click.types.StringParamType):
    """Text that a shell completes as the name of a file or a directory.

    Parameters
    ----------
    kind
        ``file``, which has directories on the way to it, or ``dir``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The kind; the shell finds the names."""
        return [CompletionItem(incomplete, type=self.kind)]


def complete_paths(command: click.Command) -> None:
    """Let a command's texts complete as what the help calls them: files, or directories."""
    for parameter in command.params:
        name = parameter.metavar or (
            (parameter.name or "").upper() if isinstance(parameter, click.Argument) else "TEXT"
        )
        if isinstance(parameter.type, click.types.StringParamType) and name not in _NO_FILES:
            words = set(re.findall(r"\w+", name))
            parameter.type = PathName("dir" if words <= _DIRECTORIES else "file")


@click.command(
    "completion",
    no_args_is_help=True,
    epilog=examples(
        'eval "$(genood completion bash)"',
        "genood completion bash > ~/.local/share/bash-completion/completions/genood",
        "genood completion zsh > ~/.zfunc/_genood",
        "genood completion fish > ~/.config/fish/completions/genood.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@logging_options
def command(shell: str) -> None:
    """Print a script with which a SHELL completes this program: commands, options, names and files.

    For one session let the shell evaluate it; for all sessions write it where the shell looks for such
    scripts, and open a new one; for zsh, ~/.zfunc has to be in fpath before compinit is called. genood and
    genood-prep have one script each.
    """
    root = click.get_current_context().find_root()
    program = root.info_name or "genood"
    script = get_completion_class(shell)
    assert script is not None  # click has all three
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    click.echo(script(root.command, {}, program, variable).source())
