# The cells of a benchmark as jobs; what a cell gave is kept by genood, so that one job more or less is cheap.
# Only cells need the device that the options may name: the others may run where it is not.
checkpoint benchmark_cells:
    input:
        dataset=f"{config['benchmark']['dataset']}/dataset.json",
    output:
        table="results/benchmark/cells.tsv",
    log:
        "logs/benchmark/cells.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 60,
    params:
        options=config["benchmark"]["options"],
        dataset=subpath(input.dataset, parent=True),
        directory=subpath(output.table, parent=True),
    shell:
        "genood benchmark {params.dataset} -o {params.directory} {params.options} --device auto --list-cells"
        " > {output.table} 2> {log}"


rule benchmark_cell:
    input:
        dataset=f"{config['benchmark']['dataset']}/dataset.json",
        needs=lambda wildcards: cells_done(benchmark_needs()[wildcards.cell]),
    output:
        done=touch("results/benchmark/done/{cell}"),
    log:
        "logs/benchmark/{cell}.log",
    conda:
        "../envs/genood.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 8000,
        runtime=lambda wildcards, attempt: attempt * 720,
    params:
        options=config["benchmark"]["options"],
        dataset=subpath(input.dataset, parent=True),
        directory=subpath(output.done, ancestor=2),
    shell:
        "genood benchmark {params.dataset} -o {params.directory} {params.options} -t {threads}"
        " --cell {wildcards.cell} 2> {log}"


rule benchmark:
    input:
        dataset=f"{config['benchmark']['dataset']}/dataset.json",
        cells=lambda wildcards: cells_done(benchmark_needs()),
    output:
        table=report(
            "results/benchmark/table.md",
            caption="../report/benchmark.rst",
            category="Benchmark",
        ),
    log:
        "logs/benchmark/table.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 60,
    params:
        options=config["benchmark"]["options"],
        dataset=subpath(input.dataset, parent=True),
        directory=subpath(output.table, parent=True),
    shell:
        "genood benchmark {params.dataset} -o {params.directory} {params.options} --device auto > {log} 2>&1"
