# Which cells a benchmark has, and what each needs.


def benchmark_needs():
    """The cells by name, each with those that it needs."""
    table = pd.read_csv(
        checkpoints.benchmark_cells.get().output.table,
        sep="\t",
        index_col="cell",
        keep_default_na=False,
    )
    return {
        cell: list(filter(None, needs.split(",")))
        for cell, needs in table["needs"].items()
    }


def cells_done(names):
    """Files that say that cells are done."""
    return expand("results/benchmark/done/{cell}", cell=names)
