#!/usr/bin/env bash
# What was installed into an environment runs, from elsewhere than the repository.
# Usage: try_installed.sh ENVIRONMENT
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
data="$here/../tests/data"
environment="$(cd "${1:?name an environment}" && pwd)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset PYTHONPATH
PATH="$environment/bin:$PATH"

python -m pip --disable-pip-version-check check
genood --version
genood-prep --version
# A module for each package that is asked for; those of extras are not there.
python - "$environment" <<'PYTHON'
import importlib, sys

for name in (
    *("scoring.running", "making.build", "models.lstm", "models.cnn", "models.context"),
    *("evaluation.tables", "writers.alignments"),
):
    module = importlib.import_module(f"genood.{name}")
    assert module.__file__.startswith(sys.argv[1]), module.__file__
importlib.import_module("data_prep.draw")
PYTHON
genood train --quiet --model markov "$data/genomes.fasta" -o bundle
genood score --quiet -m bundle "$data/reads.fastq" -o scores.tsv --summary summary.json
test "$(wc -l < scores.tsv)" -gt 1
genood score --quiet "$data/reads.fastq" -o by_default.tsv
test "$(wc -l < by_default.tsv)" -gt 1
genood completion bash > completion.bash
bash -n completion.bash
for page in genood genood-score genood-prep genood-prep-reads; do
    test -s "$environment/share/man/man1/$page.1"
done
