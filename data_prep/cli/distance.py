"""Measure genetic distances between genomes."""

from __future__ import annotations

import click

from data_prep.cli.usage import THREADS, usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides, show_progress


@click.command(
    "distance",
    no_args_is_help=True,
    epilog=examples("genood-prep distance plan.tsv --genomes genomes -o d2s.tsv --classes-out ood.tsv"),
)
@click.argument("inputs", metavar="TABLE|FASTA...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="TSV",
    default="-",
    help="A row for each two genomes.  [default: standard output]",
)
@click.option("--matrix", metavar="TSV", help="Write the same as a square matrix too.")
@click.option(
    "--classes-out",
    metavar="TSV",
    help="Write each OOD class's least distance from the genomes of train_in too; needs a TABLE.",
)
@click.option(
    "--genomes",
    metavar="DIR",
    help="Where the table's relative files lie.  [default: beside the table]",
)
@click.option("--k", type=click.IntRange(2, 12), help="Bases of the words that are counted.  [default: 6]")
@click.option("--order", type=click.IntRange(0, 3), help="Of the Markov chain, at most k - 2.  [default: 2]")
@click.option(
    "-t",
    "--threads",
    type=THREADS,
    default=1,
    show_default=True,
    help="Parts of the words compared at a time. The distances do not depend on it.",
)
@logging_options
def command(
    inputs: tuple[str, ...],
    output: str,
    matrix: str | None,
    classes_out: str | None,
    genomes: str | None,
    k: int | None,
    order: int | None,
    threads: int,
) -> None:
    """Compute d2S, an alignment-free dissimilarity from 0 to 1, between each two genomes.

    The words of k bases are counted on both strands, less what a Markov chain fitted to the genome
    expects. TABLE is a plan, or any tab-separated table with the columns file, class and split. The
    class of a FASTA file is its name up to the first "__".
    """
    from data_prep.cli.progress import stage_progress
    from data_prep.distance import write_distances
    from data_prep.words import WordModel

    with usage_errors():
        model = WordModel(**overrides(k=k, order=order))
    with stage_progress(show=show_progress()) as progress:
        write_distances(
            inputs,
            output,
            model,
            directory=genomes,
            matrix_output=matrix,
            classes_output=classes_out,
            num_threads=threads,
            progress=progress,
        )
