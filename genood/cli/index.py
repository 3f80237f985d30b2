"""Read genomes once, to train on them from disk."""

from __future__ import annotations

import logging

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options

logger = logging.getLogger("genood.index")


@click.command(
    "index", no_args_is_help=True, epilog=examples("genood index genomes/*.fna.gz -o reference.index")
)
@click.argument("genomes", metavar="FASTA...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="INDEX", help="Directory to write the index to.")
@click.option(
    "--classes",
    metavar="TSV",
    help="Class of each file (columns: file, class); else the file name up to the first '__'.",
)
@logging_options
def command(genomes: tuple[str, ...], output: str, classes: str | None) -> None:
    """Read genomes once, to train on them from disk.

    genood train takes the directory in place of the files, with the same result: the genomes are mapped
    into memory, not read into it, and training begins at once. An index takes a byte a base on disk.
    """
    from genood.reference.genomes import GenomeFile
    from genood.reference.index import write_index
    from genood.reference.labels import read_classes

    def tell(file: GenomeFile) -> None:
        logger.debug("%s: class %s, %d bases", file.name, file.class_name, file.num_bases)

    table = None if classes is None else read_classes(classes)
    files = write_index(genomes, output, classes=table, progress=tell)
    logger.info(
        "%d files of %d classes, %s bases: wrote %s",
        len(files),
        len({file.class_name for file in files}),
        f"{sum(file.num_bases for file in files):,}",
        output,
    )
