"""Build a dataset: from NCBI's lists of genomes to reads."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from data_prep.cli.catalogue import catalogue_options, synonyms_option
from data_prep.cli.download import check_downloads, download_options, print_downloads, transfer_progress
from data_prep.cli.plan import plan_options, print_plan
from data_prep.cli.reads import draw_options, print_summaries
from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides, show_progress

if TYPE_CHECKING:
    from data_prep.build import Build
    from data_prep.catalogue import CatalogueConfig
    from data_prep.download import DownloadConfig
    from data_prep.draw import DrawConfig
    from data_prep.plan import PlanConfig

logger = logging.getLogger("genood.prep.build")


@click.command(
    "build",
    no_args_is_help=True,
    epilog=examples(
        "genood-prep build -o paper --classes paper --as-of 2018-09-01 \\\n"
        "    --taxdump https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/taxdump.tar.gz",
        "genood-prep build prokaryotes.txt -o small --num-in 3 --num-ood 5 \\\n"
        "    --reads-per-class 1000 --plan-only",
    ),
)
@click.argument("reports", metavar="[REPORT]...", nargs=-1)
@click.option("-o", "--output", required=True, metavar="DIR", help="Directory of all that is built.")
@click.option("--plan-only", is_flag=True, help="Stop after the plan, so that it can be reviewed.")
@click.option(
    "--redo",
    is_flag=True,
    help="Replace a dataset, or an edited table, that was made with other reports or options.",
)
@catalogue_options
@synonyms_option
@plan_options
@download_options
@draw_options
@logging_options
def command(
    reports: tuple[str, ...],
    output: str,
    plan_only: bool,
    redo: bool,
    taxdump: str | None,
    synonyms: tuple[str, ...],
    classes: str | None,
    catalogue_config: CatalogueConfig,
    plan_config: PlanConfig,
    download_config: DownloadConfig,
    draw_config: DrawConfig,
    threads: int,
) -> None:
    """Build a dataset split by time: catalogue, plan, download and reads in one.

    REPORTs and the taxdump are files or URLs. Without a REPORT, they are GenBank's assembly summaries from
    NCBI: the current one, and the historical one, which knows when first versions were released.

    \b
    DIR receives
      reports/       what was fetched of the REPORTs and the taxdump
      catalogue.tsv  the genomes there are, as genood-prep catalogue writes it
      plan.tsv       those chosen, as genood-prep plan does
      genomes/       their sequences, as genood-prep download does
      dataset/       the reads, as genood-prep reads does
      build.json     what each of these was made from

    After an interruption or a failure, run the same command again: what is there is kept, and what was
    fetched is not fetched again. A catalogue or a plan that you edited is taken as it is.

    With other options or REPORTs, the steps they matter to and all later ones are done anew. If that would
    replace a dataset or a table that you edited, nothing is done but to say so, unless --redo is given.
    Reports of a URL are fetched once: for newer ones remove reports/ and catalogue.tsv, or build elsewhere.

    Prints the plan's tables, what became of the genomes and what each class gave; exits with 1 if a genome is
    missing. One that NCBI no longer has (HTTP 404, or no md5) stays so: take its row out of plan.tsv, and run
    the same command again.
    """
    from data_prep.build import BuildConfig, open_build

    config = BuildConfig(
        **overrides(reports=reports or None),
        taxdump=taxdump,
        synonyms=synonyms,
        classes=classes,
        catalogue=catalogue_config,
        plan=plan_config,
        download=download_config,
        draw=draw_config,
    )
    with open_build(output, config, redo=redo) as build:
        _make_plan(build)
        if plan_only:
            logger.info("the same command without --plan-only goes on from %s", build.plan)
            return
        _make_dataset(build, threads)
        _say_next(build, draw_config.read_length)


def _make_plan(build: Build) -> None:
    with transfer_progress("reports") as progress:
        build.make_catalogue(progress=progress)
    plan = build.make_plan()
    if plan is not None:
        with _readers_may_leave():
            print_plan(plan)


def _make_dataset(build: Build, processes: int) -> None:
    from data_prep.cli.progress import stage_progress

    with transfer_progress("genomes") as transfer:
        downloads = build.download(progress=transfer)
    if downloads:
        with _readers_may_leave():
            print_downloads(downloads)
        check_downloads(downloads, build.plan)
    with stage_progress(show=show_progress()) as progress:
        summaries = build.draw(processes=processes, progress=progress)
    with _readers_may_leave():
        if downloads:
            click.echo()
        print_summaries(summaries)


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Lose what is printed, not the work that is left, where what read it has ended, as ``head`` does."""
    try:
        yield
    except BrokenPipeError:
        with open(os.devnull, "wb") as nowhere:  # for what is buffered, too
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _say_next(build: Build, read_length: int) -> None:
    """Name the command that trains on the dataset; it expects reads of the usual length unless it is told."""
    from data_prep.draw import DrawConfig

    words = ["genood", "train", str(build.dataset), "-o", "bundle"]
    if read_length != DrawConfig().read_length:
        words += ["--read-length", str(read_length)]
    logger.info("next: %s", shlex.join(words))
