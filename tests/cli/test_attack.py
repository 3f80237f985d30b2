"""`genood attack`."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import dnaio
import pytest
from conftest import Genood, StartGenood, run_genood
from toys import TRAIN_OPTIONS, markov_codes, strain_of, uniform_codes, write_fasta

from genood.sequence import decode

CPU = ("--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """OOD reads, some with unknown bases, and in-distribution ones, for both of the bundles of the tests."""
    folder = tmp_path_factory.mktemp("attack")
    ood = {f"ood{i}": uniform_codes(100, 100 + i) for i in range(4)}
    for codes in ood.values():
        codes[10:13] = 4
    known = markov_codes(4000, 1)
    genome = strain_of(uniform_codes(24_000, 1), 11)
    return {
        "ood": write_fasta(folder / "ood.fa", ood),
        "lstm": write_fasta(folder / "lstm.fa", {f"in{i}": known[90 * i : 90 * i + 90] for i in range(5)}),
        "context": write_fasta(
            folder / "context.fa", {f"in{i}": genome[900 * i : 900 * i + 100] for i in range(5)}
        ),
    }


@pytest.fixture(scope="module")
def cnn_dir(genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's bundle, trained for a few steps."""
    output = tmp_path_factory.mktemp("cnn") / "classifier"
    options = ["cnn" if option == "lstm" else option for option in TRAIN_OPTIONS]
    result = run_genood("train", *genome_files, "-o", output, *options, "--filters", "16")
    assert result.returncode == 0, result.stderr
    return output


def rows_of(path: Path) -> list[dict[str, str]]:
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_lstm_with_transfer(
    genood_here: Genood, bundle_dir: Path, context_dir: Path, reads: dict[str, Path], tmp_path: Path
) -> None:
    table, summary, out = tmp_path / "attack.tsv", tmp_path / "attack.json", tmp_path / "attacked.fq"
    result = genood_here(
        *("attack", "-m", bundle_dir, "-m", context_dir, reads["ood"], "--target", reads["lstm"]),
        *("-o", table, "--summary", summary, "--reads-out", out, "--random", "2", "--read-length", "80"),
        *("--epsilon", "0.05", "--epsilon", "0.1", *CPU),
    )
    assert (result.returncode, result.stderr) == (0, "")
    rows = rows_of(table)
    assert {row["epsilon"] for row in rows} == {"0", "0.05", "0.1"}
    # Both directories have the same name.
    assert {(row["bundle"], row["kind"], row["attacked"]) for row in rows} == {
        (str(bundle_dir), "lstm", "yes"),
        (str(context_dir), "context", "no"),
    }
    found = json.loads(summary.read_text())
    assert found["attack"]["search"] == "gradient"
    assert [point["epsilon"] for point in found["matches"]] == [0.0, 0.05, 0.1]
    distances = [point["distance"] for point in found["matches"]]
    assert distances[0] > distances[1] > distances[2]
    assert result.stdout.startswith("6 OOD reads were changed")
    assert f"| **{bundle_dir}**, attacked | llr |" in result.stdout
    check_reads(reads["ood"], out, found, 0.1)


def check_reads(given: Path, out: Path, found: dict[str, object], epsilon: float) -> None:
    """Attacked reads differ from those given exactly where they say so, and seldom enough."""
    with dnaio.open(given) as source:
        originals = {record.name.split()[0]: record.sequence for record in source}
    with dnaio.open(out) as attacked:
        records = list(attacked)
    assert len(records) == 6
    for record in records:
        name, edits, _, target = record.name.split()
        assert target.startswith("target=in")
        assert record.qualities == "I" * len(record.sequence)
        if name.startswith("random"):
            continue
        start, _, end = name.partition(":")[2].partition("-")
        before = originals[name.partition(":")[0]][int(start) - 1 : int(end)]
        differences = [
            f"{i}:{old}>{new}"
            for i, (old, new) in enumerate(zip(before, record.sequence, strict=True), 1)
            if old != new
        ]
        assert edits.removeprefix("edits=") == (",".join(differences) or "none")
        assert len(differences) <= int(epsilon * len(before))
        assert [i for i, letter in enumerate(record.sequence) if letter == "N"] == list(range(10, 13))
    assert any("none" not in record.name for record in records)


def test_context_is_attacked_as_a_black_box(
    genood_here: Genood, context_dir: Path, reads: dict[str, Path], tmp_path: Path
) -> None:
    arguments = ["attack", "-m", context_dir, reads["ood"], "--target", reads["context"], *CPU]
    result = genood_here(*arguments, "-o", tmp_path / "a.tsv", "--reads-out", tmp_path / "a.fa")
    assert (result.returncode, result.stderr) == (0, "")
    first = rows_of(tmp_path / "a.tsv")[0]
    assert (first["kind"], first["detector"], first["auroc"]) == ("context", "llr", "1")
    assert (tmp_path / "a.fa").read_text().startswith(">ood0 edits=")
    again = genood_here(*arguments, "-o", "-", "--threads", "2")
    assert again.stdout == (tmp_path / "a.tsv").read_text()
    other = genood_here(*arguments, "-o", "-", "--seed", "5")
    assert other.stdout != again.stdout


@pytest.mark.parametrize("objective", ["likelihood", "score"])
def test_objectives(
    genood_here: Genood, bundle_dir: Path, reads: dict[str, Path], tmp_path: Path, objective: str
) -> None:
    options = ["--detector", "likelihood"] if objective == "score" else []
    result = genood_here(
        *("attack", "-m", bundle_dir, reads["ood"], "--target", reads["lstm"], "-o", tmp_path / "a.tsv"),
        *("--objective", objective, *options, *CPU),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "likelihood" in result.stdout.splitlines()[0]


@pytest.mark.parametrize("search", ["gradient", "greedy"])
def test_features_of_a_classifier(
    genood_here: Genood, cnn_dir: Path, bundle_dir: Path, reads: dict[str, Path], tmp_path: Path, search: str
) -> None:
    result = genood_here(
        *("attack", "-m", cnn_dir, "-m", bundle_dir, reads["ood"], "--target", reads["lstm"]),
        *("-o", tmp_path / "a.tsv", "--summary", tmp_path / "a.json", "--objective", "features"),
        *("--search", search, *CPU),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("4 OOD reads were changed to have the features")
    rows = rows_of(tmp_path / "a.tsv")
    assert {"llr", "likelihood"} <= {row["detector"] for row in rows if row["kind"] == "lstm"}
    assert {"max-probability", "mahalanobis", "knn"} <= {r["detector"] for r in rows if r["kind"] == "cnn"}
    distances = [point["distance"] for point in json.loads((tmp_path / "a.json").read_text())["matches"]]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.8 * distances[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--objective", "features"], "gives no features"),
        (["--objective", "likelihood", "--detector", "llr"], "a detector is attacked by its score"),
        (["-m", "missing"], "missing: is not a bundle"),
        (["--target", "missing.fa"], "missing.fa: no such file"),
        (["--summary", "nowhere/a.json"], "nowhere/a.json: its directory"),
        (["--reads-out", "a.bam"], "--reads-out writes FASTQ or FASTA, not .bam; name it otherwise\n"),
        (["--summary", "a.tsv"], "two outputs have the same name"),
    ],
)
def test_bad_input_is_one_line(
    genood_here: Genood,
    bundle_dir: Path,
    reads: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["attack", "-m", bundle_dir, reads["ood"], "--target", reads["lstm"], "-o", "a.tsv"]
    result = genood_here(*arguments, *options, *CPU)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("genood: error: ")
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_gradients_of_a_context_model(
    genood_here: Genood, context_dir: Path, reads: dict[str, Path], tmp_path: Path
) -> None:
    result = genood_here(
        *("attack", "-m", context_dir, reads["ood"], "--target", reads["context"], "-o", tmp_path / "a.tsv"),
        *("--search", "gradient", *CPU),
    )
    assert result.returncode == 1
    assert "use --search greedy" in result.stderr


def test_nothing_to_attack(
    genood_here: Genood, bundle_dir: Path, reads: dict[str, Path], tmp_path: Path
) -> None:
    result = genood_here("attack", "-m", bundle_dir, "--target", reads["lstm"], "-o", tmp_path / "a.tsv")
    assert result.returncode == 1
    assert "give files of OOD reads, or --random N" in result.stderr


def test_interrupted(
    start_genood: StartGenood, bundle_dir: Path, reads: dict[str, Path], tmp_path: Path
) -> None:
    """Standard input that does not end keeps it waiting, its outputs begun."""
    output = tmp_path / "a.tsv"
    command = ["attack", "-m", bundle_dir, "-", "--target", reads["lstm"], "-o", output, *CPU]
    with start_genood(*command) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f">a\n{decode(uniform_codes(100, 1))}\n".encode())
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().decode() == "genood: interrupted\n"
    assert list(tmp_path.iterdir()) == []
