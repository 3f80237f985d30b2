"""Download the genomes of a plan."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data_prep.cli.usage import usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides, show_progress
from genood.errors import GenoodError

if TYPE_CHECKING:
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
    @click.option("--jobs", type=click.IntRange(min=1), help="Genomes fetched at a time.  [default: 3]")
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
    with TransferProgress("genomes") if show_progress() else nullcontext() as progress:
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


class TransferProgress:
    """Draws files done, bytes received and their rate, from the first of them on; a context manager.

    Parameters
    ----------
    files
        What they are called.
    """

    def __init__(self, files: str) -> None:
        self._progress = Progress(
            MofNCompleteColumn(),
            TextColumn(files),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("downloading", total=None, amount="")
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def received(self, num_bytes: int) -> None:
        """See `data_prep.download.Progress.received`."""
        self._progress.start()
        self._num_bytes += num_bytes
        rate = self._num_bytes / (self._progress.tasks[0].elapsed or math.inf)
        amount = f"{decimal(self._num_bytes)}, {decimal(int(rate))}/s"
        self._progress.update(self._task, amount=amount)

    def finished(self, file: object, num_files: int) -> None:
        """See `data_prep.download.Progress.finished`."""
        self._progress.start()
        self._progress.update(self._task, advance=1, total=num_files)
        if self._progress.finished:
            self._progress.stop()  # what comes after may take its time
