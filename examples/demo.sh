#!/usr/bin/env bash
# The main job on the examples, with both kinds of model: train a bundle, score reads, see how well the
# scores separate. Usage: demo.sh OUTPUT_DIRECTORY
set -euo pipefail

examples="$(cd "$(dirname "$0")" && pwd)"
out="${1:?name an output directory}"

run() {
    echo "\$ $*" >&2
    "$@"
}

# Scores by side, which only a demo knows, and how well they separate: the ratio, then the likelihood alone.
separation() {
    local bundle="$1" side
    for side in in ood; do
        genood score -q -m "$bundle" "$examples/reads/$side.fasta.gz" -o "$bundle-$side.tsv" \
            --detector llr --detector likelihood
    done
    echo
    echo "$2, likelihood ratio, in-distribution against OOD reads (95 % intervals):"
    run genood evaluate "$bundle-in.tsv" "$bundle-ood.tsv" -o "$bundle-evaluation.json"
    echo
    echo "$2, the likelihood alone:"
    run genood evaluate "$bundle-in.tsv" "$bundle-ood.tsv" --column ood_score_likelihood
    echo
}

mkdir -p "$out"
rm -rf "$out/context" "$out/lstm"

# The memory-based model, and all reads in one run.
run genood train "$examples"/genomes/*.fna.gz -o "$out/context" --model context
run genood score -m "$out/context" "$examples"/reads/{in,ood}.fasta.gz -o "$out/scores.tsv" \
    --summary "$out/summary.json"
separation "$out/context" "Context model"

# The paper's model, small enough for a laptop.
run genood train "$examples"/genomes/*.fna.gz -o "$out/lstm" --model lstm --preset demo
separation "$out/lstm" "LSTM"

echo "Written: $out/context/ $out/lstm/ $out/scores.tsv $out/summary.json"
echo "The first reads:"
head -n 4 "$out/scores.tsv"
