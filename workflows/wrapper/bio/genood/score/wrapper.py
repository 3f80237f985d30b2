__author__ = "The genood developers"
__copyright__ = "Copyright 2026, The genood developers"
__license__ = "MIT"

import os
import shlex

from snakemake.shell import shell

OPTIONS = {
    "scores": "--output",
    "summary": "--summary",
    "multiqc": "--multiqc",
    "report": "--report",
    "per_position": "--per-position",
    "window_table": "--window-table",
    "regions": "--regions",
    "ood_out": "--ood-out",
    "in_out": "--in-out",
    "bam_out": "--bam-out",
    "kraken_report": "--kraken-report",
    "kraken_output": "--kraken-output",
}


def as_list(files):
    return [files] if isinstance(files, str) else list(files)


def name_of_both(mates):
    """The name with a # where the names of two files have a 1 and a 2."""
    name = "".join(a if a == b else "#" for a, b in zip(*mates, strict=False))
    if [name.replace("#", mate) for mate in "12"] != mates:
        raise ValueError(
            "Two files of mates have names that differ by 1 and 2 only, not: "
            + ", ".join(mates)
        )
    return name


extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

# A bundle is a directory; its genood.json, which is written last, may stand for it.
bundle = as_list(snakemake.input.bundle)[0]
if os.path.basename(bundle) == "genood.json":
    bundle = os.path.dirname(bundle) or "."
arguments = ["--bundle", bundle]

reference = snakemake.input.get("reference")
if reference:
    arguments += ["--reference", reference]

outputs = dict(snakemake.output.items())
unknown = set(outputs) - set(OPTIONS)
if unknown or "scores" not in outputs:
    raise ValueError(
        "Outputs are named: scores, and what is wanted of "
        + ", ".join(name for name in OPTIONS if name != "scores")
        + "".join(f"; not {name}" for name in sorted(unknown))
    )
for name, files in outputs.items():
    files = as_list(files)
    mates = name in ("ood_out", "in_out") and len(files) == 2
    # Any other second file is an index, which genood writes beside the first.
    arguments += [OPTIONS[name], name_of_both(files) if mates else files[0]]

arguments = shlex.join(arguments)
reads = shlex.join(as_list(snakemake.input.reads))

shell("genood score {reads} {arguments} --threads {snakemake.threads} {extra} {log}")
