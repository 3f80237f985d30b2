"""Import the benchmark that Ren et al. released."""

from __future__ import annotations

import click

from genood.cli.options import logging_options
from genood.errors import GenoodError


@click.command("published", no_args_is_help=True)
@click.argument("shards", metavar="TFRECORD...", nargs=-1, required=True)
@click.option("--labels", required=True, metavar="JSON", help="The benchmark's label_dict.json.")
@click.option("-o", "--output", required=True, metavar="FASTA", help="Where to write the reads.")
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="CLASS",
    help="Leave a class out, say one without a genome in the reference. May be repeated.",
)
@logging_options
def command(shards: tuple[str, ...], labels: str, output: str, excluded: tuple[str, ...]) -> None:
    """Turn TFRecord shards of the benchmark of Ren et al. 2019 into FASTA.

    Prints the number of reads by class.

    \b
    Example:
      genood-prep published in_val-00.tfrecord --labels label_dict.json -o in.fasta
    """
    try:
        from data_prep.published import read_labels, write_published
    except ModuleNotFoundError as error:
        raise GenoodError(
            f"this command needs the package {error.name}: pip install 'genood[prep]'"
        ) from error

    counts = write_published(shards, read_labels(labels), output, excluded=excluded)
    click.echo("class\treads")
    for name, number in sorted(counts.items()):
        click.echo(f"{name}\t{number}")
