"""Write a page that shows score tables."""

from __future__ import annotations

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command(
    "report",
    no_args_is_help=True,
    epilog=examples(
        "genood report scores.tsv --summary summary.json -m bundle -o report.html",
        "genood report a.tsv.gz b.tsv.gz c.parquet -m bundle -o report.html",
    ),
)
@click.argument("scores", nargs=-1, required=True, metavar="SCORES.tsv...")
@click.option("-o", "--output", required=True, metavar="HTML", help="The page.")
@click.option(
    "--summary",
    "summaries",
    multiple=True,
    metavar="JSON",
    help="Summary of genood score, for the interval of the OOD fraction and the parameters; repeated, one "
    "for each table in their order. Without it, NAME.summary.json beside NAME.tsv is taken.",
)
@click.option(
    "-m", "--bundle", metavar="BUNDLE", help="What the runs were scored with: the null, and the model card."
)
@click.option(
    "--per-position",
    multiple=True,
    metavar="FILE",
    help="Per-position table, for the traces; repeated likewise. Quick with an index for tabix.",
)
@click.option(
    "--window-table", "window_tables", multiple=True, metavar="FILE", help="Window table; repeated likewise."
)
@click.option(
    "--top",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="Show the N most foreign reads of each run.",
)
@click.option("--title", default="genood report", show_default=True, help="Heading of the page.")
@logging_options
def command(
    scores: tuple[str, ...],
    output: str,
    summaries: tuple[str, ...],
    bundle: str | None,
    per_position: tuple[str, ...],
    window_tables: tuple[str, ...],
    top: int,
    title: str,
) -> None:
    """Write one HTML page that shows one run or several, from score tables, text or Parquet.

    The page is a single file that needs no network. Its size does not grow with the number of reads.
    """
    from genood.report.writing import ReportJob, write_report

    write_report(
        ReportJob(
            tables=scores,
            output=output,
            summaries=summaries,
            bundle=bundle,
            per_position=per_position,
            window_tables=window_tables,
            num_top=top,
            title=title,
        )
    )
