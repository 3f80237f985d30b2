rule train:
    input:
        reference=config["reference"],
    output:
        bundle=directory("results/bundle"),
    log:
        "logs/train.log",
    conda:
        "../envs/genood.yaml"
    threads: 4
    params:
        options=config["train_options"],
    shell:
        "genood train {input.reference} -o {output.bundle} -t {threads} {params.options} 2> {log}"
