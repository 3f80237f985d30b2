"""Download the genomes of a plan."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from data_prep.cli.usage import usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides, show_progress
from genood.errors import GenoodError

if TYPE_CHECKING:
    from data_prep.cli.progress import TransferProgress
    from data_prep.download import DownloadConfig, Genome, GenomeDownload

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("genood.prep.download")


def download_options(function: F) -> F:
    """Add the options of `DownloadConfig`; the command gets it as `download_config`."""

    @click.option(
        "--base-url",
        metavar="URL",
        help="Fetch from a mirror, in place of https://ftp.ncbi.nlm.nih.gov.",
    )
    @click.option("--jobs", type=click.IntRange(1, 1024), help="Genomes fetched at a time.  [default: 3]")
    @click.option("--attempts", type=click.IntRange(min=1), help="Tries of each URL.  [default: 6]")
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Longest time without a byte received.  [default: 30]",
    )
    @wraps(function)
    def wrapper(
        *args: Any,
        base_url: str | None,
        jobs: int | None,
        attempts: int | None,
        timeout: float | None,
        **kwargs: Any,
    ) -> Any:
        from data_prep.download import DownloadConfig
        from data_prep.fetch import FetchConfig

        with usage_errors("base_url", "jobs", "attempts", read_timeout="--timeout"):
            fetch = FetchConfig(**overrides(attempts=attempts, read_timeout=timeout))
            config = DownloadConfig(**overrides(base_url=base_url, jobs=jobs), fetch=fetch)
        return function(*args, download_config=config, **kwargs)

    return wrapper  # type: ignore[return-value]


def transfer_progress(files: str) -> AbstractContextManager[TransferProgress | None]:
    """What draws the progress of files that are called so, imported only where it is drawn."""
    if not show_progress():
        return nullcontext()
    from data_prep.cli.progress import TransferProgress

    return TransferProgress(files)


@click.command("download", no_args_is_help=True, epilog=examples("genood-prep download plan.tsv -o genomes"))
@click.argument("plan", metavar="PLAN.tsv")
@click.option("-o", "--output", required=True, metavar="DIR", help="Directory of the genomes.")
@download_options
@click.option("--dry-run", is_flag=True, help="List the files, sizes in bases and URLs, and fetch nothing.")
@logging_options
def command(plan: str, output: str, download_config: DownloadConfig, dry_run: bool) -> None:
    """Fetch the genomes of a plan from NCBI, and check their md5.

    Files that are there and right are skipped, and what was interrupted is continued: run the command
    again after an interruption or a failure. Prints the number of genomes by what became of them; exits
    with 1 if any is missing. Those that NCBI no longer has (HTTP 404, or no md5) stay so: take their rows
    out of the plan.
    """
    from data_prep.download import download_genomes, read_genomes

    if dry_run:
        _list(read_genomes(plan, download_config.base_url))
        return
    with transfer_progress("genomes") as progress:
        downloads = download_genomes(plan, output, download_config, progress=progress)
    print_downloads(downloads)
    check_downloads(downloads, plan)


def print_downloads(downloads: Sequence[GenomeDownload]) -> None:
    """Print the number of genomes by what became of them."""
    click.echo("status\tgenomes\tbytes")
    for status in ("downloaded", "present", "failed"):
        sizes = [download.num_bytes for download in downloads if download.status == status]
        click.echo(f"{status}\t{len(sizes)}\t{sum(sizes)}")


def check_downloads(downloads: Sequence[GenomeDownload], plan: str | os.PathLike[str]) -> None:
    """Raise GenoodError if any genome of a plan is missing."""
    failed = [download for download in downloads if download.status == "failed"]
    if failed:
        advice = "run the command again to try them anew"
        if any(download.is_gone for download in failed):
            advice += f"; of those that NCBI no longer has (404, or no md5), take the rows out of {plan}"
        raise GenoodError(f"{len(failed)} of {len(downloads)} genomes are missing; {advice}")


def _list(genomes: Sequence[Genome]) -> None:
    click.echo("file\tsize\turl")
    for genome in genomes:
        click.echo(f"{genome.file}\t{'' if genome.size is None else genome.size}\t{genome.url}")
    num_bases = sum(genome.size or 0 for genome in genomes)
    logger.info("%s genomes of %s bases in all, before compression", f"{len(genomes):,}", f"{num_bases:,}")
