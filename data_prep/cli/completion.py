"""Print what makes a shell complete commands, options, names and files."""

from __future__ import annotations

from copy import copy

from genood.cli.completion import command as genoods
from genood.cli.examples import examples

command = copy(genoods)
command.epilog = examples(
    'eval "$(genood-prep completion bash)"',
    "genood-prep completion bash > ~/.local/share/bash-completion/completions/genood-prep",
    "genood-prep completion zsh > ~/.zfunc/_genood-prep",
    "genood-prep completion fish > ~/.config/fish/completions/genood-prep.fish",
)
