# Pages: one of each sample, one of the bundle, and one of all samples.


rule report_sample:
    input:
        bundle=bundle_directory(),
        table="results/scores/{sample}.tsv.gz",
        summary="results/summaries/{sample}.json",
    output:
        page=report(
            "results/reports/{sample}.html",
            caption="../report/sample.rst",
            category="Samples",
            labels={"sample": "{sample}", "what": "report"},
        ),
    log:
        "logs/report_sample/{sample}.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        options=config["report"]["options"],
    shell:
        "genood report {input.table} --summary {input.summary} -m {input.bundle:q} -o {output.page}"
        " --title {wildcards.sample:q} {params.options} 2> {log}"


rule report_bundle:
    input:
        bundle=bundle_directory(),
    output:
        page=report(
            "results/bundle.html",
            caption="../report/bundle.rst",
            category="Bundle",
            labels={"what": "training and calibration"},
        ),
    log:
        "logs/report_bundle.log",
    conda:
        "../envs/genood.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 60,
    shell:
        "genood report {input.bundle:q} -o {output.page} 2> {log}"


rule multiqc:
    input:
        summaries=expand("results/summaries/{sample}.json", sample=samples.index),
        evaluation=evaluation_wanted(),
    output:
        page=report(
            "results/multiqc/multiqc_report.html",
            caption="../report/multiqc.rst",
            category="All samples",
            labels={"what": "MultiQC"},
        ),
        data=directory("results/multiqc/multiqc_report_data"),
    log:
        "logs/multiqc.log",
    conda:
        "../envs/multiqc.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 60,
    params:
        directory=subpath(output.page, parent=True),
        options=config["multiqc"]["options"],
    shell:
        # The sheet's names as they are: shortened ones may be the same.
        "multiqc --force --fullnames --outdir {params.directory} --filename multiqc_report {input}"
        " {params.options} > {log} 2>&1"
