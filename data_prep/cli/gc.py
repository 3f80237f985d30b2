"""Measure GC content, and likelihood against it."""

from __future__ import annotations

import click

from data_prep.cli.usage import READ_LENGTH
from genood.cli.examples import examples
from genood.cli.options import logging_options, show_progress


@click.command(
    "gc",
    no_args_is_help=True,
    epilog=examples(
        "genood-prep gc dataset -o gc.tsv --figure gc.svg",
        "genood-prep gc --scores in.tsv --scores ood.tsv --scores-figure likelihood.svg",
    ),
)
@click.argument("source", metavar="[DATASET|TABLE]", required=False)
@click.option(
    "-o",
    "--output",
    metavar="TSV",
    default="-",
    help="A row for each split, class and genome.  [default: standard output]",
)
@click.option("--figure", metavar="FILE", help="Draw the distributions by split: .svg, .pdf or .png.")
@click.option("--reads-out", metavar="TSV[.gz]", help="Write that of each read too; needs a DATASET.")
@click.option(
    "--genomes",
    metavar="DIR",
    help="Where the table's relative files lie.  [default: beside the table]",
)
@click.option(
    "--length",
    type=READ_LENGTH,
    help="Bases of a window of a table's genomes.  [default: 250]",
)
@click.option(
    "--scores",
    multiple=True,
    metavar="TSV",
    help="A score table, text or Parquet, to see how likelihood goes with GC content. May be repeated; what "
    "is in distribution first, what is OOD second.",
)
@click.option(
    "--scores-out",
    metavar="TSV",
    default="-",
    help="Correlations and binned means of the score tables.  [default: standard output]",
)
@click.option("--scores-figure", metavar="FILE", help="Draw the score tables: .svg, .pdf or .png.")
@logging_options
def command(
    source: str | None,
    output: str,
    figure: str | None,
    reads_out: str | None,
    genomes: str | None,
    length: int | None,
    scores: tuple[str, ...],
    scores_out: str,
    scores_figure: str | None,
) -> None:
    """Measure the GC content of a dataset's reads, or of a table's genomes in windows as long as a read.

    TABLE is a plan, or any tab-separated table with the columns file, class and split. With score
    tables, tell how log-likelihood and log-likelihood ratio go with the GC content of reads.
    """
    if source is None and not scores:
        raise click.UsageError("Name a dataset, a table of genomes, or score tables with --scores.")
    of_source = [figure, reads_out, genomes, length, None if output == "-" else output]
    if source is None and any(value is not None for value in of_source):
        raise click.UsageError(
            "-o, --figure, --reads-out, --genomes and --length go with a DATASET or TABLE."
        )
    if not scores and (scores_figure is not None or scores_out != "-"):
        raise click.UsageError("--scores-out and --scores-figure go with --scores.")
    from data_prep.cli.progress import stage_progress
    from data_prep.gc import write_gc
    from data_prep.gc_scores import read_score_tables, write_scores_gc
    from genood.files import check_distinct, check_writable

    outputs = [] if source is None else [output, figure, reads_out]
    scores_outputs = [scores_out, scores_figure] if scores else []
    check_distinct([name for name in (source, *scores) if name is not None], [*outputs, *scores_outputs])
    check_writable([*outputs, *scores_outputs])
    tables = read_score_tables(scores, figure=scores_figure)  # before anything is written
    if source is not None:
        with stage_progress(show=show_progress()) as progress:
            write_gc(
                source,
                output,
                directory=genomes,
                window=length,
                reads_output=reads_out,
                figure=figure,
                further_outputs=scores_outputs,
                progress=progress,
            )
    if scores:
        write_scores_gc(tables, scores_out, figure=scores_figure)
