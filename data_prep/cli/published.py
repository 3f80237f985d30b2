"""Import the benchmark that Ren et al. released."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from data_prep.cli.usage import usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, show_progress

if TYPE_CHECKING:
    from data_prep.cli.progress import ImportProgress


@click.command(
    "published", no_args_is_help=True, epilog=examples("genood-prep published genomics_ood.zip -o published")
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DATASET", help="Directory to write.")
@click.option(
    "--sha256",
    multiple=True,
    metavar="HEX",
    help="What the source must have; recorded in the dataset. With several sources, one for each.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Of files whose names do not tell it: train_in, val_in, val_ood, test_in or test_ood.",
)
@click.option(
    "--labels",
    metavar="JSON",
    help="Numbers of the classes.  [default: the label_dict.json there, or else the released one]",
)
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="CLASS",
    help="Leave a class out, say one without a genome in the reference. May be repeated.",
)
@logging_options
def command(
    sources: tuple[str, ...],
    output: str,
    sha256: tuple[str, ...],
    split: str | None,
    labels: str | None,
    excluded: tuple[str, ...],
) -> None:
    """Import the benchmark of Ren et al. 2019 into a dataset.

    A source is a directory or zip file of the release, TFRecords or the tables of TensorFlow Datasets, a
    single file of these, or the URL of a zip or single file. All checksums within are checked. The
    dataset states which size of the benchmark it is, or that it is a part.

    Prints the number of reads by split and class.
    """
    from data_prep.published import PublishedConfig, import_published

    with usage_errors():
        config = PublishedConfig(
            sources=sources, sha256=sha256, split=split, labels=labels, excluded=excluded
        )
    with _import_progress() as progress:
        dataset = import_published(config, output, progress=progress)
    click.echo("split\tclass\treads")
    for name, of_split in dataset.splits.items():
        for class_name, number in of_split.counts.items():
            click.echo(f"{name}\t{class_name}\t{number}")


def _import_progress() -> AbstractContextManager[ImportProgress | None]:
    """What draws progress, imported only where it is drawn."""
    if not show_progress():
        return nullcontext()
    from data_prep.cli.progress import ImportProgress

    return ImportProgress()
