rule pool:
    input:
        tables=tables_of,
    output:
        table=temp("results/pooled/{truth}.tsv"),
    log:
        "logs/pool/{truth}.log",
    conda:
        "../envs/genood.yaml"
    shell:
        # One header line, then the rows of all tables.
        "gzip -dc {input.tables} | awk 'NR == 1 {{ header = $0; print; next }} $0 != header'"
        " > {output.table} 2> {log}"


rule evaluate:
    input:
        in_table="results/pooled/in.tsv",
        ood_table="results/pooled/ood.tsv",
    output:
        json="results/evaluation.json",
        table="results/evaluation.tsv",
    log:
        "logs/evaluate.log",
    conda:
        "../envs/genood.yaml"
    shell:
        "genood evaluate {input.in_table} {input.ood_table} -o {output.json}"
        " > {output.table} 2> {log}"
