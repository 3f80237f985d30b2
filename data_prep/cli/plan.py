"""Choose classes and genomes for a dataset split by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from data_prep.cli.catalogue import synonyms_option
from data_prep.cli.usage import usage_errors
from genood.cli.examples import examples
from genood.cli.options import logging_options, overrides

if TYPE_CHECKING:
    from data_prep.plan import PlanConfig
    from data_prep.plan_table import Plan

F = TypeVar("F", bound=Callable[..., Any])

_DAY = click.DateTime(["%Y-%m-%d"])


def plan_options(function: F) -> F:
    """Add the options of `PlanConfig`, given as `plan_config`, and ``--classes``, given as it is."""

    @click.option(
        "--train-before", type=_DAY, metavar="DATE", help="train_in is older.  [default: 2011-01-01]"
    )
    @click.option(
        "--test-after",
        type=_DAY,
        metavar="DATE",
        help="test_in and test_ood are newer.  [default: 2016-01-01]",
    )
    @click.option("--as-of", type=_DAY, metavar="DATE", help="Ignore genomes released later.")
    @click.option("--num-in", type=click.IntRange(min=1), help="In-distribution classes.  [default: 10]")
    @click.option(
        "--num-ood",
        type=click.IntRange(min=0),
        help="OOD classes, in each of validation and test.  [default: 60]",
    )
    @click.option(
        "--max-genomes", type=click.IntRange(min=1), help="Of a class in a split, the first released."
    )
    @click.option(
        "--classes",
        metavar="paper|TSV",
        help="In place of so many: the 130 of Ren et al. 2019, or a table with the columns class and side "
        "(in, val_ood, test_ood).",
    )
    @wraps(function)
    def wrapper(
        *args: Any,
        train_before: datetime | None,
        test_after: datetime | None,
        as_of: datetime | None,
        num_in: int | None,
        num_ood: int | None,
        max_genomes: int | None,
        classes: str | None,
        **kwargs: Any,
    ) -> Any:
        if classes is not None and (num_in is not None or num_ood is not None):
            raise click.UsageError(
                "--num-in and --num-ood say how many classes to choose; --classes names them instead"
            )
        from data_prep.plan import PlanConfig

        days = {"train_before": train_before, "test_after": test_after, "as_of": as_of}
        numbers = {"num_in": num_in, "num_ood": num_ood, "max_genomes": max_genomes}
        with usage_errors(*days, *numbers):
            config = PlanConfig(
                **overrides(**{name: day and day.date() for name, day in days.items()}),
                **overrides(**numbers),
            )
        return function(*args, plan_config=config, classes=classes, **kwargs)

    return wrapper  # type: ignore[return-value]


@click.command(
    "plan",
    no_args_is_help=True,
    epilog=examples("genood-prep plan catalogue.tsv -o plan.tsv --as-of 2018-09-01 --classes paper"),
)
@click.argument("catalogue")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TSV",
    help="Where to write the plan; compressed if it ends in .gz.",
)
@plan_options
@synonyms_option
@logging_options
def command(
    catalogue: str, output: str, plan_config: PlanConfig, classes: str | None, synonyms: tuple[str, ...]
) -> None:
    """Divide the genomes of a CATALOGUE by release date into train_in, val_in, val_ood, test_in and test_ood.

    In distribution are classes first seen before --train-before, OOD those first seen later: up to and on
    --test-after for validation, after it for test. Of those in distribution, classes that have genomes for
    all of train_in, val_in and test_in are taken first; then, as on the other sides, those with most genomes
    in train_in, val_ood or test_ood. A class stays on the side that a list puts it on.

    Genomes, their names and assembly levels are those of the catalogue's day: --as-of goes by release dates
    and cannot bring back what has been replaced, renamed or completed since.

    Prints the size of each split and of each class in it, what was left out and why, and what is odd about
    single classes; on stderr where the plan itself goes to stdout (-o -).
    """
    from data_prep.plan import plan_dataset
    from genood.files import is_standard_output

    plan = plan_dataset(catalogue, output, plan_config, classes=classes, synonyms=synonyms)
    on_stderr = is_standard_output(output)
    if not (on_stderr and click.get_current_context().meta["genood.quiet"]):
        print_plan(plan, err=on_stderr)


def print_plan(plan: Plan, *, err: bool = False) -> None:
    """Print what a plan chose and what it left, a table each, on stdout or stderr."""
    from data_prep.plan_table import class_sizes, split_sizes

    print_table = partial(_print_table, err=err)
    print_table(("split", "classes", "genomes", "bases"), split_sizes(plan))
    print_table(("split", "class", "genomes", "bases", "first_seen"), class_sizes(plan))
    left_out = [(reason, len(names), sum(names.values())) for reason, names in plan.left_out.items()]
    left_out.sort(key=lambda row: -row[2])
    print_table(("left_out", "classes", "genomes"), left_out)
    print_table(("class", "side", "remark"), plan.remarks)


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]], *, err: bool) -> None:
    """A table and an empty line; nothing if it has no rows."""
    if rows:
        for row in (header, *rows):
            click.echo("\t".join(map(str, row)), err=err)
        click.echo(err=err)
