#!/usr/bin/env bash
# The main job on the examples: train a bundle, score reads, see how well the scores separate.
# Usage: demo.sh OUTPUT_DIRECTORY
set -euo pipefail

examples="$(cd "$(dirname "$0")" && pwd)"
out="${1:?name an output directory}"
bundle="$out/bundle"
inputs=("$examples/reads/in.fasta.gz" "$examples/reads/ood.fasta.gz")

run() {
    echo "\$ $*" >&2
    "$@"
}

mkdir -p "$out"
rm -rf "$bundle"
run genood train "$examples"/genomes/*.fna.gz -o "$bundle" --preset demo
run genood score -m "$bundle" "${inputs[@]}" -o "$out/scores.tsv" --summary "$out/summary.json"

# The same reads by side, which only a demo knows; the likelihood alone beside the ratio.
for side in in ood; do
    genood score -m "$bundle" "$examples/reads/$side.fasta.gz" -o "$out/$side.tsv" \
        --detector llr --detector likelihood
done
echo
echo "Likelihood ratio, in-distribution against OOD reads (95 % intervals):"
run genood evaluate "$out/in.tsv" "$out/ood.tsv" -o "$out/evaluation.json"
echo
echo "The likelihood alone:"
run genood evaluate "$out/in.tsv" "$out/ood.tsv" --column ood_score_likelihood
echo
echo "Written: $bundle/ $out/scores.tsv $out/summary.json $out/evaluation.json"
echo "The first reads:"
head -n 4 "$out/scores.tsv"
