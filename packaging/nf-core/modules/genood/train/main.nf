process GENOOD_TRAIN {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${ workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/genood:0.1.0--pyhdfd78af_0':
        'quay.io/biocontainers/genood:0.1.0--pyhdfd78af_0' }"

    input:
    tuple val(meta), path(fasta)

    output:
    tuple val(meta), path("${prefix}"), emit: bundle
    tuple val("${task.process}"), val('genood'), eval("genood --version | sed 's/genood //'"), topic: versions, emit: versions_genood

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    genood train \\
        --output $prefix \\
        --threads $task.cpus \\
        $args \\
        $fasta
    """

    stub:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo $args
    mkdir $prefix
    touch ${prefix}/genood.json
    """
}
