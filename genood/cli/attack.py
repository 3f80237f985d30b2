"""Change OOD reads a little until a detector takes them for in-distribution, and say how far that goes."""

from __future__ import annotations

import shlex
import sys

import click

from genood.attack.config import OBJECTIVES, SEARCHES, ObjectiveName, SearchName
from genood.cli.examples import examples
from genood.cli.options import compute_options, logging_options, one_of, show_progress
from genood.detectors import DETECTORS


@click.command(
    "attack",
    no_args_is_help=True,
    epilog=examples("genood attack -m bundle foreign.fasta --target known.fasta -o attack.tsv"),
)
@click.argument("reads", nargs=-1)
@click.option(
    "-m",
    "--bundle",
    "bundles",
    required=True,
    multiple=True,
    metavar="BUNDLE",
    help="Directory from genood train. The first is attacked, further ones score the attacked reads too.",
)
@click.option(
    "--target",
    "targets",
    required=True,
    multiple=True,
    metavar="READS",
    help="In-distribution reads that the bundle has not seen, which the attacked ones are to equal. May be "
    "repeated.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Table: AUROC, AUPRC and FPR80 by epsilon, bundle and detector; - is standard output.",
)
@click.option("--summary", metavar="JSON", help="All of the result, with the substitutions of each read.")
@click.option(
    "--reads-out",
    metavar="FILE",
    help="Attacked reads of the largest epsilon, FASTQ or FASTA by the ending; the comment says what was "
    "changed.",
)
@click.option(
    "--epsilon",
    "epsilons",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.01, 0.02, 0.05, 0.1),
    show_default=True,
    help="Share of a read's bases that may be changed. May be repeated.",
)
@click.option(
    "--objective",
    type=one_of(OBJECTIVES),
    default="score",
    show_default=True,
    help="What is to equal the target's: features of a classifier, likelihood, or score, of --detector.",
)
@click.option(
    "--detector",
    type=one_of(DETECTORS),
    help="Detector whose score is attacked.  [default: the bundle's]",
)
@click.option(
    "--search",
    type=one_of(SEARCHES),
    help="What is tried first: by gradients, or at random.  [default: gradient where there are gradients]",
)
@click.option(
    "--candidates",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Substitutions tried at a time, of which the best is made.",
)
@click.option(
    "--random",
    "num_random",
    type=click.IntRange(0, 10_000_000),
    default=0,
    metavar="N",
    help="Attack N reads of random bases, too.",
)
@click.option(
    "--read-length",
    type=click.IntRange(1, 100_000),
    default=250,
    show_default=True,
    help="Bases of random reads; longer sequences, as genomes, are cut into reads of so many.",
)
@click.option(
    "--max-reads",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Reads of READS, and of --target, at most: a sample of all.",
)
@click.option(
    "--reference", metavar="FASTA", help="Genome that CRAM files were made with; indexed if need be."
)
@compute_options
@logging_options
def command(
    reads: tuple[str, ...],
    bundles: tuple[str, ...],
    targets: tuple[str, ...],
    output: str,
    summary: str | None,
    reads_out: str | None,
    epsilons: tuple[float, ...],
    objective: ObjectiveName,
    detector: str | None,
    search: SearchName | None,
    candidates: int,
    num_random: int,
    read_length: int,
    max_reads: int,
    reference: str | None,
    seed: int,
    device: str,
) -> None:
    """Attack OOD reads: substitute few of their bases until a detector cannot tell them.

    READS are out-of-distribution: reads, or genomes to cut into reads. Each is paired with a read of
    --target, and changed, base by base, until what the first bundle says of both is equal, or a share
    epsilon of its bases is changed. Prints, for people, how well each detector of each bundle still tells
    in-distribution from attacked reads.
    """
    from genood.attack.config import AttackConfig
    from genood.attack.running import AttackJob, attack_files
    from genood.cli.progress import attack_progress
    from genood.files import is_standard_output
    from genood.readers import ReaderConfig

    job = AttackJob(
        bundles=bundles,
        inputs=reads,
        targets=targets,
        num_random=num_random,
        read_length=read_length,
        max_reads=max_reads,
        reader=ReaderConfig(reference=reference),
        attack=AttackConfig(
            epsilons=epsilons,
            objective=objective,
            detector=detector,
            search=search,
            candidates=candidates,
            seed=seed,
        ),
        output=output,
        summary=summary,
        reads_out=reads_out,
        command=shlex.join(["genood", *sys.argv[1:]]),
    )
    with attack_progress(show=show_progress()) as progress:
        attacked = attack_files(job, device=device, progress=progress)
    if not is_standard_output(output):
        click.echo(attacked.markdown(), nl=False)
