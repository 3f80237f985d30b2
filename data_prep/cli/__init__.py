"""The `genood-prep` command: the group."""

from __future__ import annotations

from typing import NoReturn

import click

from genood import __version__
from genood.cli import LazyGroup, run

_COMMANDS = {
    "catalogue": "List the genomes of NCBI with genus and release date.",
    "plan": "Choose classes and genomes for a dataset split by time.",
    "download": "Fetch the genomes of a plan from NCBI.",
    "reads": "Draw reads from genomes into a dataset.",
    "gc": "Measure GC content, and likelihood against it.",
    "distance": "Measure genetic distances between genomes.",
    "published": "Import the benchmark that Ren et al. released.",
    "build": "Build a dataset, from the list of genomes to reads.",
}


@click.group(
    cls=LazyGroup,
    package="data_prep.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="genood-prep", message="%(prog)s %(version)s")
def cli() -> None:
    """Build datasets of reads for genood."""


def main() -> NoReturn:
    """Run the `genood-prep` command and exit."""
    run(cli, "genood-prep")
