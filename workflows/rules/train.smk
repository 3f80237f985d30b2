# The bundle is there when its genood.json is; what training leaves before that survives a failure, and the
# next try goes on from its checkpoint.
rule train:
    input:
        reference=config["reference"],
    output:
        bundle="results/bundle/genood.json",
    log:
        "logs/train.log",
    conda:
        "../envs/genood.yaml"
    threads: 4
    params:
        options=config["train_options"],
        directory=subpath(output.bundle, parent=True),
    shell:
        "resume=; if [ -e {params.directory}/checkpoint.safetensors ]; then resume=--resume; fi;"
        " genood train {input.reference} -o {params.directory} -t {threads} {params.options}"
        " $resume 2> {log}"
