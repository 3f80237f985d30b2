"""Compare all methods on a dataset."""

from __future__ import annotations

import logging

import click

from genood.benchmark.methods import METHODS
from genood.cli import EXIT_INTERRUPTED
from genood.cli.examples import examples
from genood.cli.options import compute_options, logging_options, offer

logger = logging.getLogger("genood")


@click.command(
    "benchmark",
    no_args_is_help=True,
    epilog=examples(
        "genood benchmark dataset -o bench",
        "genood benchmark dataset -o bench --methods likelihood,llr --seeds 3",
    ),
)
@click.argument("dataset", metavar="DATASET")
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="Directory of the results; what is there is kept."
)
@click.option(
    "--methods",
    metavar="NAME,NAME...",
    shell_complete=offer(METHODS),
    help=f"Which of {', '.join(METHODS)}.  [default: all]",
)
@click.option(
    "--seeds",
    "num_seeds",
    type=click.IntRange(1, 1000),
    help="Models of each kind, and draws of test reads, to average over.  "
    "[default: demo 1, small 3, paper 10]",
)
@click.option(
    "--preset",
    type=click.Choice(["demo", "small", "paper"]),
    default="demo",
    show_default=True,
    help="demo: minutes on two cores. small: a night. paper: the recipes of Ren et al. 2019, for a GPU.",
)
@click.option(
    "--cell", "cells", multiple=True, metavar="NAME", help="Compute only this cell; no table, no figures."
)
@click.option("--list-cells", is_flag=True, help="Print the cells, what each needs, and which are done.")
@click.option(
    "--figures", is_flag=True, help="Draw the first seed's figures too, into DIR/figures; needs matplotlib."
)
@click.option(
    "--distances",
    metavar="TSV",
    help="What genood-prep distance --classes-out writes, for the figure of AUROC by distance.",
)
@compute_options
@logging_options
def command(
    dataset: str,
    output: str,
    methods: str | None,
    num_seeds: int | None,
    preset: str,
    cells: tuple[str, ...],
    list_cells: bool,
    figures: bool,
    distances: str | None,
    seed: int,
    device: str,
) -> None:
    """Train every method on a dataset, tune on val_in and val_ood, evaluate once on test_in and test_ood.

    Prints AUROC, AUPRC and FPR80 with the published numbers beside them, and writes them to DIR as
    table.md, table.tsv and table.json, with the scores of every read in scores.npz. Interrupted, the same
    command goes on; with more methods or seeds, it computes only those.
    """
    from genood.benchmark.running import Benchmark, BenchmarkJob
    from genood.benchmark.table import write_tables
    from genood.cli.progress import stop_signals

    if distances is not None and not figures:
        raise click.UsageError("--distances goes with --figures")
    if figures:
        # Said before the work, if matplotlib or the table is not there.
        from genood.benchmark.figures import draw_benchmark
        from genood.evaluation.analyses import read_distances

        if distances is not None:
            read_distances(distances, "test_ood")
    job = BenchmarkJob(
        dataset=dataset,
        output=output,
        methods=() if methods is None else tuple(name.strip() for name in methods.split(",")),
        scale=preset,
        num_seeds=num_seeds,
        first_seed=seed,
    )
    benchmark = Benchmark(job, device=device, progress=logger.info, stopping=stop_signals)
    if list_cells:
        click.echo("cell\tneeds\tdone")
        for name, needs, done in benchmark.cell_table():
            click.echo(f"{name}\t{','.join(needs)}\t{'yes' if done else 'no'}")
        return
    if not benchmark.run(cells):
        logger.info("stopped; the same command goes on")
        click.get_current_context().exit(EXIT_INTERRUPTED)
    if not cells:
        click.echo(write_tables(benchmark), nl=False)
        if figures:
            draw_benchmark(benchmark, distances)
