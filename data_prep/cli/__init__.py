"""The `genood-prep` command: the group."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from genood import __version__
from genood.cli import LazyGroup, run
from genood.cli.examples import examples
from genood.errors import GenoodError

_COMMANDS = {
    "catalogue": "List the genomes of NCBI with genus and release date.",
    "plan": "Choose classes and genomes for a dataset split by time.",
    "download": "Fetch the genomes of a plan from NCBI.",
    "reads": "Draw reads from genomes into a dataset.",
    "gc": "Measure GC content, and likelihood against it.",
    "distance": "Measure genetic distances between genomes.",
    "published": "Import the benchmark that Ren et al. released.",
    "build": "Build a dataset, from the list of genomes to reads.",
    "completion": "Print a script for completion in a shell.",
}


_OF_EXTRA = {"multitax", "httpx2", "tenacity", "google", "google_crc32c", "matplotlib"}
"""What the packages of the extra ``prep`` are imported as."""


class _Group(LazyGroup):
    """A group whose commands may need packages that come with an extra."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named; of a missing package, say how to get it."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _OF_EXTRA:
                raise
            raise GenoodError(
                f"this needs the package {error.name}: install genood with its extra prep"
            ) from error


@click.group(
    cls=_Group,
    package="data_prep.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "genood-prep build -o paper --classes paper --as-of 2018-09-01 --plan-only",
        "genood-prep reads table.tsv --genomes genomes -o dataset",
        "genood-prep build --help",
    ),
)
@click.version_option(__version__, prog_name="genood-prep", message="%(prog)s %(version)s")
def cli() -> None:
    """Build datasets of reads for genood."""


def main() -> NoReturn:
    """Run the `genood-prep` command and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # classes may have any letters, whatever the locale
    run(cli, "genood-prep")
