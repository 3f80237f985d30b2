"""Write a page that shows score tables, or a bundle."""

from __future__ import annotations

import os

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides


@click.command(
    "report",
    no_args_is_help=True,
    epilog=examples(
        "genood report scores.tsv --summary summary.json -m bundle -o report.html",
        "genood report a.tsv.gz b.tsv.gz c.parquet -m bundle -o report.html",
        "genood report bundle -o bundle.html",
    ),
)
@click.argument("scores", nargs=-1, required=True, metavar="SCORES.tsv...|BUNDLE")
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
@click.option("--title", help="Heading of the page.  [default: genood report, or genood bundle]")
@logging_options
def command(
    scores: tuple[str, ...],
    output: str,
    summaries: tuple[str, ...],
    bundle: str | None,
    per_position: tuple[str, ...],
    window_tables: tuple[str, ...],
    top: int,
    title: str | None,
) -> None:
    """Write one HTML page that shows one run or several, from score tables, text or Parquet; or a bundle.

    The page is a single file that needs no network. Its size does not grow with the number of reads. That
    of a bundle shows how it was trained, what its p-values come from, and its model card.
    """
    folders = [path for path in scores if os.path.isdir(path)]
    if folders:
        if len(scores) > 1 or bundle is not None or summaries or per_position or window_tables:
            raise click.UsageError(
                f"{folders[0]} is a directory: a bundle has a page of its own, give it alone"
            )
        from genood.report.training_page import TrainingPageJob, write_training_page

        write_training_page(TrainingPageJob(bundle=folders[0], output=output, **overrides(title=title)))
        return
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
            **overrides(title=title),
        )
    )
