__author__ = "The genood developers"
__copyright__ = "Copyright 2026, The genood developers"
__license__ = "MIT"

import shlex

from snakemake.shell import shell


def as_list(files):
    return [files] if isinstance(files, str) else list(files)


extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

arguments = ["--output", snakemake.output.bundle]
classes = snakemake.input.get("classes")
if classes:
    arguments += ["--classes", classes]
for file in as_list(snakemake.input.get("val", [])):
    arguments += ["--val", file]

arguments = shlex.join(arguments)
reference = shlex.join(as_list(snakemake.input.reference))

shell(
    "genood train {reference} {arguments} --threads {snakemake.threads} {extra} {log}"
)
