process GENOOD_SCORE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/genood:0.1.0--pyhdfd78af_0':
        'quay.io/biocontainers/genood:0.1.0--pyhdfd78af_0' }"

    input:
    tuple val(meta), path(reads)
    tuple val(meta2), path(bundle)

    output:
    tuple val(meta), path("*.tsv.gz")      , emit: scores
    tuple val(meta), path("*.summary.json"), emit: summary
    tuple val("${task.process}"), val('genood'), eval("genood --version | sed 's/genood //'"), topic: versions, emit: versions_genood

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    def paired = reads instanceof List && reads.size() == 2 && !meta.single_end ? '--paired' : ''
    """
    genood score \\
        --bundle $bundle \\
        --output ${prefix}.tsv.gz \\
        --summary ${prefix}.summary.json \\
        --threads $task.cpus \\
        $paired \\
        $args \\
        $reads
    """

    stub:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo $args
    echo "" | gzip > ${prefix}.tsv.gz
    touch ${prefix}.summary.json
    """
}
