"""The examples, and a demo of the main job on them: it runs, and the files are what its README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from genood.genomes import load_genomes
from genood.readers import read_file

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_reference() -> None:
    [path] = EXAMPLES.glob("genomes/*")
    genomes = load_genomes([path], min_length=250)
    assert genomes.classes == ("Escherichia",)
    assert genomes.lengths.tolist() == [4_938_920]


def test_reads() -> None:
    for side, num_sources in (("in", 1), ("ood", 33)):
        reads = list(read_file(EXAMPLES / "reads" / f"{side}.fasta.gz"))
        assert len(reads) == len({read.name for read in reads}) == 1650
        assert {len(read.codes) for read in reads} == {250}
        assert all(read.codes.max() < 4 for read in reads)
        genomes_named = {read.name.partition(":")[0] for read in reads}
        assert len(genomes_named) >= num_sources


def test_demo_with_a_short_training(tmp_path: Path) -> None:
    script = (EXAMPLES / "demo.sh").read_text()
    assert "--preset demo\n" in script
    short = tmp_path / "examples" / "demo.sh"
    short.parent.mkdir()
    short.write_text(script.replace("--preset demo\n", "--preset demo --steps 20 --hidden-size 8\n"))
    for folder in ("genomes", "reads"):
        (short.parent / folder).symlink_to(EXAMPLES / folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    out = tmp_path / "demo out"
    for kind in ("context", "lstm"):
        (out / kind).mkdir(parents=True)
        (out / kind / "genood.json").write_text("of an earlier demo")
    result = subprocess.run(
        ["bash", short, out],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path},
    )
    assert result.returncode == 0, result.stderr
    for kind in ("context", "lstm"):
        assert json.loads((out / kind / "genood.json").read_text())["kind"] == kind
    assert len((out / "scores.tsv").read_text().splitlines()) == 1 + 2 * 1650
    assert result.stdout.count("auroc\t") == 4
