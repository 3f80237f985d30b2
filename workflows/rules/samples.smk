# The sample sheet and what is asked of it.

import pandas as pd
from snakemake.exceptions import WorkflowError

samples = pd.read_csv(config["samples"], sep="\t", dtype=str).set_index(
    "sample", drop=False
)
validate(samples, "../schemas/samples.schema.yaml")
if not samples.index.is_unique:
    twice = ", ".join(samples.index[samples.index.duplicated()].unique())
    raise WorkflowError(f"{config['samples']}: samples named twice: {twice}")


def reads_of(wildcards):
    """The reads file of a sample."""
    return samples.loc[wildcards.sample, "reads"]


def tables_of(wildcards):
    """Score tables of the samples known to be `in` or `ood`."""
    return expand("results/scores/{sample}.tsv.gz", sample=samples_of(wildcards.truth))


def samples_of(truth):
    """Names of the samples known to be `in` or `ood`."""
    if "truth" not in samples:
        return []
    return samples.loc[samples["truth"] == truth, "sample"].tolist()


def evaluation_wanted():
    """The evaluation, where the sheet knows samples of both sides."""
    return ["results/evaluation.json"] if samples_of("in") and samples_of("ood") else []
