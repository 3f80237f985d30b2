# How well scores separate samples known to be in-distribution from those known to be OOD.


rule pool:
    input:
        tables=lambda wildcards: expand(
            "results/scores/{sample}.tsv.gz", sample=samples_of(wildcards.truth)
        ),
    output:
        table=temp("results/pooled/{truth}.tsv"),
    log:
        "logs/pool/{truth}.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 500,
        runtime=lambda wildcards, attempt: attempt * 120,
    shell:
        # One header line, then the rows of all tables, without the columns that only pairs have.
        "gzip -dc {input.tables} | cut -f -12 | awk 'NR == 1 {{ header = $0; print; next }} $0 != header'"
        " > {output.table} 2> {log}"


rule evaluate:
    input:
        in_table="results/pooled/in.tsv",
        ood_table="results/pooled/ood.tsv",
    output:
        json="results/evaluation.json",
        table=report(
            "results/evaluation.tsv",
            caption="../report/evaluation.rst",
            category="All samples",
            labels={"what": "separation"},
        ),
    log:
        "logs/evaluate.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 240,
    shell:
        "genood evaluate {input.in_table} {input.ood_table} -o {output.json}"
        " > {output.table} 2> {log}"
