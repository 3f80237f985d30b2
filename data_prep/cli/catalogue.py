"""List the genomes of NCBI with genus and release date."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options

if TYPE_CHECKING:
    from data_prep.catalogue import CatalogueConfig

F = TypeVar("F", bound=Callable[..., Any])

_LEVELS = ("complete", "chromosome", "scaffold", "contig")

synonyms_option = click.option(
    "--synonyms",
    multiple=True,
    metavar="TSV",
    help="More names of genera (columns name, genus, source). May be repeated.",
)


def catalogue_options(function: F) -> F:
    """Add ``--taxdump`` and ``--level``; the command gets the latter as `catalogue_config`."""

    @click.option(
        "--taxdump",
        metavar="DIR|TAR.GZ",
        help="NCBI's taxonomy: genus by lineage, and only bacteria and archaea. Without it, genus by name.",
    )
    @click.option(
        "--level",
        "levels",
        multiple=True,
        type=click.Choice(_LEVELS),
        help="Assembly level to keep. May be repeated.  [default: complete]",
    )
    @wraps(function)
    def wrapper(*args: Any, levels: tuple[str, ...], **kwargs: Any) -> Any:
        from data_prep.catalogue import CatalogueConfig

        config = CatalogueConfig(levels=levels) if levels else CatalogueConfig()
        return function(*args, catalogue_config=config, **kwargs)

    return wrapper  # type: ignore[return-value]


@click.command(
    "catalogue",
    no_args_is_help=True,
    epilog=examples(
        "genood-prep catalogue assembly_summary.txt prokaryotes.txt.gz \\\n"
        "    --taxdump taxdump.tar.gz -o catalogue.tsv"
    ),
)
@click.argument("reports", metavar="REPORT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="TSV",
    help="Where to write the catalogue; compressed if it ends in .gz.  [default: stdout]",
)
@catalogue_options
@synonyms_option
@logging_options
def command(
    reports: tuple[str, ...],
    output: str,
    taxdump: str | None,
    catalogue_config: CatalogueConfig,
    synonyms: tuple[str, ...],
) -> None:
    """Make one table of NCBI's prokaryotes.txt and assembly_summary*.txt, plain or compressed.

    A genome in several files, or in GenBank and RefSeq, counts once, as GenBank has it. Genomes without a
    genus beyond doubt are left out; stderr says how many, by reason.

    Without --level only complete genomes are kept, as in the benchmark of Ren et al. 2019.
    """
    from data_prep.catalogue import make_catalogue

    make_catalogue(reports, output, catalogue_config, taxdump=taxdump, synonyms=synonyms)
