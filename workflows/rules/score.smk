# Each sample in parts that are scored as jobs of their own, and gathered: the result is that of one run.


scattergather:
    part=config["score"]["parts"],


rule split:
    input:
        reads=lambda wildcards: files_of(wildcards.sample),
    output:
        parts=temp(scatter.part("results/parts/{{sample}}/{scatteritem}.{{kind}}")),
        manifest=temp("results/parts/{sample}/{kind}.json"),
    log:
        "logs/split/{sample}.{kind}.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 240,
    params:
        number=lambda wildcards, output: len(output.parts),
        pairs=lambda wildcards: pairs_option(wildcards.sample),
        pattern=lambda wildcards, output: part_pattern(output.parts[0]),
        options=config["split"]["options"],
    shell:
        "genood split {params.pairs} {input.reads:q} -n {params.number} -o {params.pattern}"
        " --manifest {output.manifest} {params.options} 2> {log}"


use rule split as split_pairs with:
    output:
        parts=temp(scatter.part("results/parts/{{sample}}/{scatteritem}_R1.{{kind}}")),
        seconds=temp(scatter.part("results/parts/{{sample}}/{scatteritem}_R2.{{kind}}")),
        manifest=temp("results/parts/{sample}/pairs.{kind}.json"),
    log:
        "logs/split/{sample}.pairs.{kind}.log",


rule score_part:
    input:
        bundle=bundle_directory(),
        reads=parts_of,
    output:
        table=temp("results/parts/{sample}/{scatteritem}.tsv.zst"),
        summary=temp("results/parts/{sample}/{scatteritem}.summary.json"),
    log:
        "logs/score/{sample}/{scatteritem}.log",
    conda:
        "../envs/genood.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 240,
    params:
        pairs=lambda wildcards: pairs_option(wildcards.sample),
        options=config["score"]["options"],
    shell:
        "genood score -m {input.bundle:q} {params.pairs} {input.reads:q} -o {output.table}"
        " --summary {output.summary} -t {threads} {params.options} 2> {log}"


rule gather:
    input:
        bundle=bundle_directory(),
        tables=gather.part("results/parts/{{sample}}/{scatteritem}.tsv.zst"),
        summaries=gather.part("results/parts/{{sample}}/{scatteritem}.summary.json"),
        manifest=manifest_of,
    output:
        table="results/scores/{sample}.tsv.gz",
        summary=report(
            "results/summaries/{sample}.json",
            caption="../report/summary.rst",
            category="Samples",
            labels={"sample": "{sample}", "what": "summary"},
        ),
    log:
        "logs/gather/{sample}.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 240,
    params:
        options=gather_options(),
    shell:
        "genood gather {input.tables} --manifest {input.manifest} -m {input.bundle:q} -o {output.table}"
        " --summary {output.summary} {params.options} 2> {log}"


rule ood_reads:
    input:
        bundle=bundle_directory(),
        reads=lambda wildcards: files_of(wildcards.sample),
        tables=gather.part("results/parts/{{sample}}/{scatteritem}.tsv.zst"),
        summaries=gather.part("results/parts/{{sample}}/{scatteritem}.summary.json"),
        manifest=manifest_of,
    output:
        reads=directory("results/ood/{sample}"),
    log:
        "logs/ood_reads/{sample}.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 240,
    params:
        name=lambda wildcards: ood_name(wildcards.sample),
        options=gather_options(),
    shell:
        "mkdir -p {output.reads} && genood gather {input.tables} --manifest {input.manifest}"
        " -m {input.bundle:q} -o /dev/null --ood-out {output.reads}/{params.name} {params.options} 2> {log}"
