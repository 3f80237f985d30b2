"""Measure how well scores separate in-distribution from OOD reads."""

from __future__ import annotations

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command(
    "evaluate", no_args_is_help=True, epilog=examples("genood evaluate in.tsv ood.tsv -o evaluation.json")
)
@click.argument("in_table", metavar="IN.tsv")
@click.argument("ood_table", metavar="OOD.tsv")
@click.option(
    "-o", "--output", metavar="JSON", help="Write the numbers as JSON too; - in place of the table."
)
@click.option(
    "--column",
    default="ood_score",
    show_default=True,
    help="Column to evaluate; higher means more OOD.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Bootstrap samples behind the 95 % intervals.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@logging_options
def command(
    in_table: str, ood_table: str, output: str | None, column: str, resamples: int, seed: int
) -> None:
    """Compare two score tables, text or Parquet: reads known to be in-distribution, reads known to be OOD.

    Prints AUROC, AUPRC and FPR80 with 95 % bootstrap intervals; in-distribution is the positive
    class. Reads without a score are left out and counted.
    """
    from genood.evaluation.tables import evaluate_tables
    from genood.files import is_standard_output

    result = evaluate_tables(
        in_table, ood_table, column=column, num_resamples=resamples, seed=seed, output=output
    )
    if output is not None and is_standard_output(output):
        return  # the JSON is there
    click.echo("metric\tvalue\tlow\thigh")
    for name, metric in result["metrics"].items():
        click.echo("\t".join([name, *(f"{metric[key]:.4f}" for key in ("value", "low", "high"))]))
