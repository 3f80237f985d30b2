"""Make one run of the scores of parts."""

from __future__ import annotations

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command(
    "gather",
    no_args_is_help=True,
    epilog=examples(
        "genood gather parts/*.tsv --manifest parts/manifest.json -o scores.tsv --summary summary.json",
        "genood gather lane1.tsv lane2.tsv -o scores.tsv --fdr 0.05",
    ),
)
@click.argument("scores", nargs=-1, required=True, metavar="SCORES.tsv...")
@click.option(
    "-o",
    "--output",
    default="-",
    show_default="standard output",
    metavar="FILE",
    help="Score table of all; .parquet is Parquet; .gz (as BGZF), .zst, .xz and .bz2 compress it.",
)
@click.option("--summary", metavar="JSON", help="Summary of all, as genood score --summary of the whole.")
@click.option(
    "--multiqc", metavar="FILE_mqc.json", help="The same, which MultiQC shows by itself; the sample is FILE."
)
@click.option(
    "--manifest",
    metavar="JSON",
    help="Of genood split: puts the parts in order, and refuses if one is missing, or there twice.",
)
@click.option(
    "-m",
    "--bundle",
    metavar="BUNDLE",
    help="What the parts were scored with.  [default: where their summaries say it is]",
)
@click.option(
    "--fdr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="Q",
    help="Call over all parts at this false discovery rate, as genood score --fdr, in place of their calls.",
)
@click.option(
    "--ood-out",
    metavar="FILE",
    help="Reads called ood, from the files that were split, as genood score --ood-out; needs --manifest.",
)
@click.option("--in-out", metavar="FILE", help="All other reads that were scored, likewise.")
@click.option("--kraken-report", metavar="FILE", help="Report as of Kraken 2.")
@click.option("--kraken-output", metavar="FILE", help="Output as of Kraken 2.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the sample behind the summary's quantiles.",
)
@logging_options
def command(
    scores: tuple[str, ...],
    output: str,
    summary: str | None,
    multiqc: str | None,
    manifest: str | None,
    bundle: str | None,
    fdr: float | None,
    ood_out: str | None,
    in_out: str | None,
    kraken_report: str | None,
    kraken_output: str | None,
    seed: int,
) -> None:
    """Make one run of the score tables of parts, text or Parquet: the same as of scoring the whole.

    Beside each table lies its summary: NAME.summary.json beside NAME.tsv. Parts of different bundles,
    detectors or levels are refused.
    """
    from genood.scoring.gathering import GatherJob, gather_tables

    gather_tables(
        GatherJob(
            tables=scores,
            manifest=manifest,
            bundle=bundle,
            output=output,
            summary=summary,
            multiqc=multiqc,
            ood_out=ood_out,
            in_out=in_out,
            kraken_report=kraken_report,
            kraken_output=kraken_output,
            fdr=fdr,
            seed=seed,
        )
    )
