"""Split reads into parts that can be scored apart."""

from __future__ import annotations

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command(
    "split",
    no_args_is_help=True,
    epilog=examples(
        "genood split reads.fastq.gz -n 16 -o 'parts/%.fastq.gz' --manifest parts/manifest.json",
        "genood split --paired R1.fastq.gz R2.fastq.gz -n 4 -o 'parts/%_R#.fastq.gz'",
    ),
)
@click.argument("reads", nargs=-1, required=True)
@click.option("-n", "--num-parts", type=click.IntRange(1, 10_000), required=True, metavar="N", help="Parts.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Files of the parts: % in the name becomes 1-of-N, 2-of-N and so on; with --paired, # becomes 1 "
    "and 2. FASTQ, FASTA or, of alignments, BAM by the ending; .gz (as BGZF), .zst, .xz and .bz2 compress.",
)
@click.option(
    "--manifest", metavar="JSON", help="What the parts are, for genood gather; - is standard output."
)
@click.option(
    "--paired", is_flag=True, help="READS are two files of mates, R1 R2, in the same order; or several such."
)
@click.option("--interleaved", is_flag=True, help="In READS, mate 2 follows mate 1.")
@click.option(
    "--reference", metavar="FASTA", help="Genome that CRAM files were made with; indexed if need be."
)
@logging_options
def command(
    reads: tuple[str, ...],
    num_parts: int,
    output: str,
    manifest: str | None,
    paired: bool,
    interleaved: bool,
    reference: str | None,
) -> None:
    """Split reads into parts of about as many bases each, in order, that genood score scores apart.

    Records are kept as they are, mates together, and alignments with their header; what genood score would
    refuse is refused here, with its place in READS. READS are gone through twice. Of few reads, the
    last parts may be empty.

    genood gather makes one run of the parts' scores.
    """
    if paired and interleaved:
        raise click.UsageError("--paired and --interleaved are two ways to give mates; give one")
    from genood.scoring.splitting import SplitJob, split_files

    split_files(
        SplitJob(
            inputs=reads,
            num_parts=num_parts,
            output=output,
            manifest=manifest,
            pairs="two files" if paired else "interleaved" if interleaved else None,
            reference=reference,
        )
    )
