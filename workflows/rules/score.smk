rule score:
    input:
        bundle="results/bundle/genood.json",
        reads=reads_of,
    output:
        table="results/scores/{sample}.tsv.gz",
        summary="results/summaries/{sample}.json",
    log:
        "logs/score/{sample}.log",
    conda:
        "../envs/genood.yaml"
    threads: 2
    params:
        options=config["score_options"],
        directory=subpath(input.bundle, parent=True),
    shell:
        "genood score -m {params.directory} {input.reads} -o {output.table}"
        " --summary {output.summary} -t {threads} {params.options} 2> {log}"
