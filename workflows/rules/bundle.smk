# The bundle that scores: given, or trained on genomes given, or on a dataset that is built of NCBI's; and
# calibrated on negative controls, where the sheet has any.


# What was fetched survives a failure, and the next try goes on from there.
rule build_dataset:
    output:
        dataset="results/dataset/dataset/dataset.json",
    log:
        "logs/build_dataset.log",
    conda:
        "../envs/genood-prep.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 8000,
        runtime=lambda wildcards, attempt: attempt * 1440,
    params:
        options=(config.get("build") or {}).get("options", ""),
        directory=subpath(output.dataset, ancestor=2),
    shell:
        "genood-prep build -o {params.directory} -t {threads} {params.options} > {log} 2>&1"


# Training has a directory of its own until it is done: what it leaves there survives a failure, and the next
# try goes on from its checkpoint, or that of an ensemble's member.
rule train:
    input:
        reference=reference_files(),
    output:
        bundle=report(
            directory("results/bundle"),
            patterns=["{name}.md"],
            caption="../report/card.rst",
            category="Bundle",
            labels={"what": "model card"},
        ),
    log:
        "logs/train.log",
    conda:
        "../envs/genood.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 8000,
        runtime=lambda wildcards, attempt: attempt * 720,
    params:
        reference=lambda wildcards, input: reference_arguments(input.reference),
        options=config["train"]["options"],
        directory=lambda wildcards, output: f"{output.bundle}_in_training",
    shell:
        "resume=; for begun in checkpoint.safetensors member-1; do"
        " if [ -e {params.directory}/$begun ]; then resume=--resume; fi; done;"
        " genood train {params.reference:q} -o {params.directory} -t {threads} {params.options}"
        " $resume 2> {log} && mv {params.directory} {output.bundle}"


rule calibrate:
    input:
        bundle=trained_bundle(),
        reads=[path for sample in controls.index for path in files_of(sample)],
    output:
        bundle=directory("results/calibrated"),
    log:
        "logs/calibrate.log",
    conda:
        "../envs/genood.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        options=config["calibrate"]["options"],
    shell:
        "genood calibrate -m {input.bundle:q} {input.reads:q} -o {output.bundle} -t {threads}"
        " {params.options} 2> {log}"
