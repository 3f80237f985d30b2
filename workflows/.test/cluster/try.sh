#!/usr/bin/env bash
# The workflow's test case twice: plainly, and on a cluster of three nodes where one job's tool is killed, one
# job's node goes down and one job is refused. Shows what happened, and that the tables are the same.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=${1:-cluster-out}

mkdir -p "$out/workflows"
ln -sfn "$root/examples" "$out/examples" # the case names its data relative to itself
for run in plain cluster; do
    mkdir -p "$out/workflows/$run"
    cp -r "$here/../config" "$out/workflows/$run/"
done
tables=(results/scores/coli.tsv.gz results/scores/others.tsv.gz)
options=("${tables[@]}" --snakefile "$root/workflows/Snakefile" --quiet host rules progress)

echo "== plainly"
snakemake "${options[@]}" --directory "$out/workflows/plain" --cores 2

echo "== on the cluster"
export CLUSTER_NODES=${CLUSTER_NODES:-3}
export CLUSTER_FAULTS=${CLUSTER_FAULTS-score_part:1=killed score_part:2=lost gather:1=refused}
snakemake "${options[@]}" --directory "$out/workflows/cluster" --profile "$here"
cut -f 2-5 "$out/workflows/cluster/.cluster/events.tsv" | column -t

for table in "${tables[@]}"; do
    cmp "$out/workflows/plain/$table" "$out/workflows/cluster/$table"
done
echo "== the tables are the same, byte for byte"
