"""Draw reads from genomes into a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from data_prep.cli.usage import READ_LENGTH, THREADS, usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, show_progress

if TYPE_CHECKING:
    from data_prep.draw import DrawConfig
    from data_prep.reads import ClassSummary

F = TypeVar("F", bound=Callable[..., Any])

_NUM_READS = click.IntRange(1, 10**9)
"""Of a class in a split."""


def _to_split_reads(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, int]:
    """Numbers of reads by split, from ``SPLIT=N``."""
    numbers: dict[str, int] = {}
    for value in values:
        split, _, number = value.partition("=")
        if not split or not number.isdecimal():
            raise click.BadParameter(f"{value!r} is not SPLIT=N, such as val_in=10000")
        if split in numbers:
            raise click.BadParameter(f"{split} is given twice")
        numbers[split] = _NUM_READS(number, parameter, context)
    return numbers


def draw_options(function: F) -> F:
    """Add the options of `DrawConfig`, given as `draw_config`, and ``--threads``, given as it is."""

    @click.option(
        "--reads-per-class",
        type=_NUM_READS,
        default=100_000,
        show_default=True,
        help="Reads of each class in each split.",
    )
    @click.option(
        "--split-reads",
        multiple=True,
        metavar="SPLIT=N",
        callback=_to_split_reads,
        help="The same for one split. May be repeated.",
    )
    @click.option(
        "--length",
        type=READ_LENGTH,
        default=250,
        show_default=True,
        help="Bases of a read.",
    )
    @click.option(
        "--allow-fewer",
        is_flag=True,
        help="Where a class has fewer windows than reads asked, take all, rather than fail.",
    )
    @click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
    )
    @click.option(
        "-t",
        "--threads",
        type=THREADS,
        default=1,
        show_default=True,
        help="Genomes read at a time. The dataset does not depend on it.",
    )
    @wraps(function)
    def wrapper(
        *args: Any,
        reads_per_class: int,
        split_reads: dict[str, int],
        length: int,
        allow_fewer: bool,
        seed: int,
        **kwargs: Any,
    ) -> Any:
        from data_prep.draw import DrawConfig

        with usage_errors():
            config = DrawConfig(
                read_length=length,
                reads_per_class=reads_per_class,
                split_reads=split_reads,
                seed=seed,
                allow_fewer=allow_fewer,
            )
        return function(*args, draw_config=config, **kwargs)

    return wrapper  # type: ignore[return-value]


@click.command(
    "reads", no_args_is_help=True, epilog=examples("genood-prep reads plan.tsv --genomes genomes -o dataset")
)
@click.argument("table", metavar="TABLE")
@click.option("-o", "--output", required=True, metavar="DATASET", help="Directory to write.")
@click.option(
    "--genomes",
    metavar="DIR",
    help="Where the table's relative files lie.  [default: beside the table]",
)
@draw_options
@logging_options
def command(table: str, output: str, genomes: str | None, draw_config: DrawConfig, threads: int) -> None:
    """Draw reads from each class and split of a table of genomes.

    TABLE is a plan, or any tab-separated table with the columns file, class and split; files are FASTA, plain
    or compressed. Reads are drawn uniformly over all stretches of known bases of a class's genomes, without
    replacement, from either strand; the reads of a split are shuffled. Prints what each class gave.
    """
    from data_prep.cli.progress import stage_progress
    from data_prep.reads import draw_reads

    with stage_progress(show=show_progress()) as progress:
        summaries = draw_reads(
            table, output, draw_config, genomes=genomes, processes=threads, progress=progress
        )
    print_summaries(summaries)


def print_summaries(summaries: Sequence[ClassSummary]) -> None:
    """Print what each class gave."""
    click.echo("split\tclass\tgenomes\tbases\twindows\treads")
    for summary in summaries:
        click.echo("\t".join(map(str, summary)))
