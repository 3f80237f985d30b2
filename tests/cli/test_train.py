"""`genood train`: the bundle, seeds, interruption and resuming, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_dirs import BUNDLE_FILES
from conftest import Genood, StartGenood
from refusals import check_error, snapshot
from safetensors import safe_open
from toys import TRAIN_OPTIONS, markov_codes, write_fasta

from genood.cli.progress import TrainingProgress
from genood.sequence import Codes

TINY = (*TRAIN_OPTIONS, "--schedule", "constant", "--learning-rate", "0.005")
"""Under a constant learning rate the first steps do not depend on how many are to come."""
RESULTS = ("foreground.safetensors", "background.safetensors", "training.tsv", "calibration.json")
FOREVER = ("--steps", "1000000")
"""Steps that no test waits for, so that a signal certainly comes in the middle."""


def results_of(bundle: Path) -> dict[str, bytes]:
    return {name: (bundle / name).read_bytes() for name in RESULTS}


def steps_done(bundle: Path) -> int:
    with safe_open(bundle / "checkpoint.safetensors", framework="pt") as checkpoint:
        return int(json.loads(checkpoint.metadata()["genood"])["step"])


def sha256_of_records(records: list[Codes]) -> str:
    """Over the length and the codes of each."""
    content = b"".join(f"{len(codes)}\0".encode() + codes.tobytes() for codes in records)
    return hashlib.sha256(content).hexdigest()


Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def train(genood_here: Genood, genome_files: list[Path]) -> Train:
    """Train on the genomes with the tiny options and further ones, which win."""

    def run(output: Path, *options: str | Path, genomes: list[Path] = genome_files) -> object:
        return genood_here("train", *genomes, "-o", output, *TINY, *options)

    return run


def stop_training(
    start: StartGenood, genomes: list[Path], output: Path, number: signal.Signals, *, at: bytes
) -> tuple[int, bytes]:
    """Send a signal when a line of stderr starts so; the exit code and the rest of stderr."""
    with start("train", *genomes, "-o", output, *TINY, *FOREVER) as process:
        while not (line := process.stderr.readline()).startswith(at):
            assert line, "training ended"
        process.send_signal(number)
        rest = process.stderr.read()
        return process.wait(timeout=60), rest


@pytest.fixture(scope="module")
def interrupted(
    start_genood: StartGenood, genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int, bytes]:
    """What SIGINT leaves: the directory, the exit code and the last lines of stderr; not to be changed."""
    output = tmp_path_factory.mktemp("interrupted") / "bundle"
    code, rest = stop_training(
        start_genood, genome_files, output, signal.SIGINT, at=b"genood.train: step 3: "
    )
    return output, code, rest


@pytest.fixture(scope="module")
def finished(genood: Genood, genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in a directory whose parent had to be made, trained quietly; not to be changed."""
    output = tmp_path_factory.mktemp("finished") / "new" / "bundle"
    result = genood("train", *genome_files, "-o", output, *TINY, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return output


def test_files(finished: Path) -> None:
    assert set(snapshot(finished)) == BUNDLE_FILES


def test_files_can_be_shared(finished: Path, tmp_path: Path) -> None:
    """All have the permissions of any new file."""
    (tmp_path / "new").touch()
    assert {path.stat().st_mode for path in finished.iterdir()} == {(tmp_path / "new").stat().st_mode}


def test_metadata(finished: Path, genome_files: list[Path]) -> None:
    metadata = json.loads((finished / "genood.json").read_text())
    assert set(metadata) == {
        *("format_version", "readable_from", "genood_version", "kind", "model", "classes", "seed"),
        *("background", "command", "training", "data", "metrics", "files"),
    }
    assert (metadata["format_version"], metadata["kind"], metadata["seed"]) == (1, "lstm", 0)
    assert metadata["background"] == "mutated"
    assert metadata["classes"] == ["Alpha", "Beta"]
    assert shlex.split(metadata["command"]) == [
        *("genood", "train", *map(str, genome_files), "-o", str(finished), *TINY, "--quiet")
    ]
    assert metadata["model"]["foreground"] == metadata["model"]["background"]
    assert metadata["model"]["foreground"]["hidden_size"] == 8
    assert (metadata["training"]["steps"], metadata["training"]["read_length"]) == (6, 60)
    alpha, beta = ([markov_codes(4000, 1), markov_codes(3000, 2)], [markov_codes(6000, 3, stay=0.6)])
    assert metadata["data"]["files"] == [
        {"name": "Alpha__one.fna", "class_name": "Alpha", "num_records": 2}
        | {"num_bases": 7000, "usable_bases": 7000, "sha256": sha256_of_records(alpha)},
        {"name": "Beta__one.fna", "class_name": "Beta", "num_records": 1}
        | {"num_bases": 6000, "usable_bases": 6000, "sha256": sha256_of_records(beta)},
    ]
    assert set(metadata["metrics"]) == {"foreground", "background"}
    assert metadata["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in finished.iterdir()
        if path.name not in ("genood.json", "checkpoint.safetensors")
    }


def test_training_table(finished: Path) -> None:
    header, *rows = (finished / "training.tsv").read_text().splitlines()
    assert header.split("\t") == [
        "step",
        "foreground_train_loss",
        "background_train_loss",
        "foreground_val_loss",
        "background_val_loss",
    ]
    assert [row.split("\t")[0] for row in rows] == ["3", "6"]
    # A model that knows nothing loses ln 4 = 1.386 nats a base.
    assert all(1.2 < float(loss) < 1.6 for row in rows for loss in row.split("\t")[1:])


def test_best_validation_is_kept(finished: Path) -> None:
    metrics = json.loads((finished / "genood.json").read_text())["metrics"]
    rows = [row.split("\t") for row in (finished / "training.tsv").read_text().splitlines()[1:]]
    for column, role in ((3, "foreground"), (4, "background")):
        loss, step = min((float(row[column]), int(row[0])) for row in rows)
        assert metrics[role]["best_step"] == step
        assert metrics[role]["val_nats_per_base"] == pytest.approx(loss, rel=1e-5)
        assert metrics[role]["val_bits_per_base"] == pytest.approx(loss / 0.6931472, rel=1e-5)


def test_same_seed_same_weights(train: Train, finished: Path, tmp_path: Path) -> None:
    """In two processes."""
    assert train(tmp_path / "bundle").returncode == 0
    assert results_of(tmp_path / "bundle") == results_of(finished)


def test_other_seed_other_weights(train: Train, finished: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "bundle", "--seed", "1").returncode == 0
    mine, theirs = results_of(tmp_path / "bundle"), results_of(finished)
    assert [name for name in RESULTS if mine[name] == theirs[name]] == []


def test_classes_and_validation_files(train: Train, genome_files: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "classes.tsv"
    validation = write_fasta(tmp_path / "val.fna", {"v": markov_codes(500, 8)})
    table.write_text("file\tclass\nAlpha__one.fna\tX\nBeta__one.fna\tW\nval.fna\tX\n")
    result = train(tmp_path / "bundle", "--classes", table, "--val", validation)
    assert result.returncode == 0
    metadata = json.loads((tmp_path / "bundle" / "genood.json").read_text())
    assert metadata["classes"] == ["W", "X"]
    assert [file["class_name"] for file in metadata["data"]["files"]] == ["X", "W"]
    assert metadata["data"]["validation"] == "validation sequences"
    assert [file["name"] for file in metadata["data"]["validation_files"]] == ["val.fna"]


def test_options_of_long_trainings(train: Train, tmp_path: Path) -> None:
    board, bundle = tmp_path / "board", tmp_path / "bundle"
    options = ("--warmup-steps", "2", "--max-gradient-norm", "0", "--patience", "9", "--max-recoveries", "1")
    assert train(bundle, *options, "--tensorboard", board).returncode == 0
    training = json.loads((bundle / "genood.json").read_text())["training"]
    assert (training["warmup_steps"], training["max_gradient_norm"]) == (2, None)
    assert (training["patience"], training["max_recoveries"]) == (9, 1)
    [events] = board.iterdir()
    assert b"val_loss/background" in events.read_bytes()
    result = train(tmp_path / "ensemble", "--members", "2", "--tensorboard", board)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        2,
        "Error: --tensorboard is for a single bundle, without --members and --per-class",
    )


def test_interrupt(interrupted: tuple[Path, int, bytes], genood_here: Genood) -> None:
    directory, code, rest = interrupted
    assert code == 130
    assert rest.decode().splitlines()[-2:] == [
        "genood.train: stopping after this step; again to stop at once",
        f"genood: stopped; --resume goes on from the checkpoint in {directory}",
    ]
    assert set(snapshot(directory)) == {"checkpoint.safetensors", "training.tsv"}
    assert steps_done(directory) >= 3
    check_error(
        genood_here("info", directory),
        f"{directory}: training has not finished; finish it with genood train --resume",
    )


def check_resumes_exactly(train: Train, directory: Path, tmp_path: Path) -> None:
    """Going on gives what a training that was never stopped gives, byte by byte."""
    steps = str(steps_done(directory) + 7)
    assert train(directory, "--resume", "--steps", steps).returncode == 0
    assert train(tmp_path / "uninterrupted", "--steps", steps).returncode == 0
    assert results_of(directory) == results_of(tmp_path / "uninterrupted")
    table = (directory / "training.tsv").read_text().splitlines()
    assert table[-1].split("\t")[0] == steps
    assert len(table) == 1 + -(-int(steps) // 3)


def test_resume_after_interrupt(
    interrupted: tuple[Path, int, bytes], train: Train, genood_here: Genood, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(interrupted[0], tmp_path / "bundle"))
    check_resumes_exactly(train, directory, tmp_path)
    assert set(snapshot(directory)) == BUNDLE_FILES
    assert genood_here("info", directory).returncode == 0


def test_resume_between_validations(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses since the last validation are not forgotten."""

    def interrupt(self: TrainingProgress, step: int, losses: object) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    directory = tmp_path / "bundle"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "step", interrupt)
        assert train(directory).returncode == 130
    assert steps_done(directory) == 4
    check_resumes_exactly(train, directory, tmp_path)


def test_resume_after_kill(
    start_genood: StartGenood, train: Train, genome_files: list[Path], tmp_path: Path
) -> None:
    """The checkpoint of step 3 was written before step 6 was validated."""
    directory = tmp_path / "bundle"
    code, _ = stop_training(
        start_genood, genome_files, directory, signal.SIGKILL, at=b"genood.train: step 6: "
    )
    assert code == -9
    assert not (directory / "genood.json").exists()
    assert steps_done(directory) >= 3
    check_resumes_exactly(train, directory, tmp_path)


def test_resume_extends_a_bundle(train: Train, finished: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(finished, tmp_path / "bundle"))
    check_resumes_exactly(train, directory, tmp_path)
    assert set(snapshot(directory)) == BUNDLE_FILES
    assert json.loads((directory / "genood.json").read_text())["training"]["steps"] == 13


def test_resume_with_nothing_to_do(train: Train, finished: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(finished, tmp_path / "bundle"))
    assert train(directory, "--resume").returncode == 0
    assert results_of(directory) == results_of(finished)


def test_killed_extension_is_unfinished(
    start_genood: StartGenood,
    train: Train,
    genood_here: Genood,
    genome_files: list[Path],
    finished: Path,
    tmp_path: Path,
) -> None:
    """Its files no longer belong together, and `info` says what to do rather than that they differ."""
    directory = Path(shutil.copytree(finished, tmp_path / "bundle"))
    options = (*TINY, *FOREVER, "--resume")
    with start_genood("train", *genome_files, "-o", directory, *options) as process:
        assert process.stderr.readline().startswith(b"genood.build: reference: 2 classes, 2 files")
        assert process.stderr.readline().startswith(b"genood.train: step 9: ")
        assert process.stderr.readline().startswith(b"genood.train: step 12: ")
    check_error(genood_here("info", directory), "training has not finished; finish it with genood train")
    check_resumes_exactly(train, directory, tmp_path)


REFUSED_RESUMES = {
    "fewer steps": (("--steps", "2"), r"\d+ steps are done already; give --steps \d+ or more"),
    "other seed": (("--seed", "1"), "cannot resume, as .* was 0 and is now 1; give the options"),
    "other learning rate": (("--learning-rate", "0.001"), "as learning rate was 0.005 and is now 0.001; "),
    "other read length": (("--read-length", "61"), "as read length was 60 and is now 61; "),
    "other batch size": (("--batch-size", "17"), "as batch size was 16 and is now 17; "),
    "other mutation rate": (("--mutation-rate", "0.2"), "as mutation rate was 0.1 and is now 0.2; "),
    "other model": (("--hidden-size", "9"), "as hidden size was 8 and is now 9; "),
}


@pytest.mark.parametrize(("options", "says"), REFUSED_RESUMES.values(), ids=REFUSED_RESUMES)
@pytest.mark.parametrize("is_finished", [False, True], ids=["unfinished", "finished"])
def test_resume_refuses_other_options(
    train: Train,
    interrupted: tuple[Path, int, bytes],
    finished: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    says: str,
    is_finished: bool,
) -> None:
    directory = Path(shutil.copytree(finished if is_finished else interrupted[0], tmp_path / "bundle"))
    before = snapshot(directory)
    result = train(directory, *FOREVER, *options, "--resume")
    check_error(result, f"{directory / 'checkpoint.safetensors'}: ")
    assert re.search(says, result.stderr)
    assert snapshot(directory) == before


@pytest.mark.parametrize("change", ["one base", "order", "validation"])
def test_resume_refuses_other_data(
    train: Train,
    interrupted: tuple[Path, int, bytes],
    genome_files: list[Path],
    tmp_path: Path,
    change: str,
) -> None:
    directory = Path(shutil.copytree(interrupted[0], tmp_path / "bundle"))
    before = snapshot(directory)
    genomes, options = list(genome_files), ()
    if change == "one base":
        codes = {"alpha1": markov_codes(4000, 1), "alpha2": markov_codes(3000, 2)}
        codes["alpha2"][1500] ^= 1
        genomes[0] = write_fasta(tmp_path / "Alpha__one.fna", codes)
    elif change == "order":
        genomes.reverse()
    else:
        options = ("--val", write_fasta(tmp_path / "Alpha__val.fna", {"v": markov_codes(600, 8)}))
    result = train(directory, *FOREVER, *options, "--resume", genomes=genomes)
    check_error(result, "checkpoint.safetensors: cannot resume, as data was ")
    assert snapshot(directory) == before


def test_resume_of_the_same_data_elsewhere(
    train: Train, finished: Path, genome_files: list[Path], tmp_path: Path
) -> None:
    """Sequences count, not how they are wrapped or where they lie."""
    directory = Path(shutil.copytree(finished, tmp_path / "bundle"))
    beta = write_fasta(tmp_path / "Beta__moved.fna", {"b": markov_codes(6000, 3, stay=0.6)}, width=60)
    assert train(directory, "--resume", genomes=[genome_files[0], beta]).returncode == 0


def test_resume_without_checkpoint(train: Train, tmp_path: Path) -> None:
    check_error(
        train(tmp_path / "bundle", "--resume"),
        "bundle: there is no checkpoint to resume from; train without --resume",
    )
    assert list(tmp_path.iterdir()) == []


def test_resume_from_a_damaged_checkpoint(
    train: Train, interrupted: tuple[Path, int, bytes], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(interrupted[0], tmp_path / "bundle"))
    checkpoint = directory / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    before = snapshot(directory)
    check_error(train(directory, *FOREVER, "--resume"), "checkpoint.safetensors: is not a genood checkpoint")
    assert snapshot(directory) == before


def test_bundle_in_the_way(train: Train, finished: Path) -> None:
    before = snapshot(finished)
    check_error(train(finished), f"{finished}: there is a bundle already; remove it or give another")
    assert snapshot(finished) == before


def test_unfinished_training_in_the_way(train: Train, interrupted: tuple[Path, int, bytes]) -> None:
    directory = interrupted[0]
    before = snapshot(directory)
    check_error(
        train(directory), f"{directory}: holds an unfinished training; go on with --resume, or remove"
    )
    assert snapshot(directory) == before


def test_other_files_in_the_way(train: Train, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    check_error(train(tmp_path), f"{tmp_path}: is not empty; give a new directory for the bundle")
    assert snapshot(tmp_path) == {"thesis.txt": b"all of it"}


@pytest.mark.parametrize("name", ["file", "file/bundle", "file/deep/bundle"])
def test_file_in_the_way(train: Train, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("here")
    check_error(train(tmp_path / name), f"{tmp_path / 'file'}: is a file; name a directory for the bundle")
    assert snapshot(tmp_path) == {"file": b"here"}


def test_directory_without_permission(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the training, not after. Root may write anywhere: the answer is made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    check_error(
        train(tmp_path / "new" / "bundle"), f"{tmp_path}: cannot be written to; name another directory"
    )
    assert list(tmp_path.iterdir()) == []


def test_empty_directory_is_taken(train: Train, tmp_path: Path) -> None:
    assert train(tmp_path, "--steps", "1").returncode == 0
    assert set(snapshot(tmp_path)) == BUNDLE_FILES


BAD_GENOMES = {
    "shorter than a read": (
        (">s\n" + "ACGTA" * 11 + "\n"),
        "class 'Short' has no stretch of 60 known bases; give longer sequences or a shorter --read-length",
    ),
    "full of unknown bases": (
        ">s\n" + ("ACGTA" * 11 + "N") * 50 + "\n",
        "class 'Short' has no stretch of 60 known bases",
    ),
    "nothing left to train on": (
        ">s\n" + "ACGTA" * 20 + "\n",
        "class 'Short' is too short to hold out a stretch of 60 bases for validation",
    ),
    "no sequence": ("", "class 'Short' has no stretch of 60 known bases"),
    "garbage": ("hello\n", "Short.fna: is neither FASTA nor FASTQ"),
    "foreign letter": (">s\nACGT\n>t\nAC!T\n", "Short.fna, record 2: 't' holds '!'"),
}


@pytest.mark.parametrize(("text", "says"), BAD_GENOMES.values(), ids=BAD_GENOMES)
def test_bad_genomes(train: Train, genome_files: list[Path], tmp_path: Path, text: str, says: str) -> None:
    genome = tmp_path / "Short.fna"
    genome.write_text(text)
    check_error(train(tmp_path / "bundle", genomes=[genome_files[0], genome]), says)
    assert set(snapshot(tmp_path)) == {"Short.fna"}


BAD_CLASSES = {
    "missing table": (None, "classes.tsv: no such file"),
    "no such class": (
        "file\tclass\nAlpha__one.fna\tX\n",
        "Beta__one.fna: is not named in the table of classes",
    ),
    "no header": (
        "Alpha__one.fna\tX\nBeta__one.fna\tY\n",
        "classes.tsv, line 1: needs a header line with the columns 'file' and 'class'",
    ),
    "empty class": (
        "file\tclass\nAlpha__one.fna\t\n",
        "classes.tsv, line 2: a row needs both a file and a class",
    ),
    "named twice": (
        "file\tclass\nAlpha__one.fna\tX\nAlpha__one.fna\tY\n",
        "classes.tsv, line 3: names 'Alpha__one.fna' twice",
    ),
}


@pytest.mark.parametrize(("text", "says"), BAD_CLASSES.values(), ids=BAD_CLASSES)
def test_bad_classes(train: Train, tmp_path: Path, text: str | None, says: str) -> None:
    table = tmp_path / "classes.tsv"
    if text is not None:
        table.write_text(text)
    check_error(train(tmp_path / "bundle", "--classes", table), says)
    assert not (tmp_path / "bundle").exists()


def test_validation_too_short(train: Train, tmp_path: Path) -> None:
    validation = write_fasta(tmp_path / "Alpha__val.fna", {"v": markov_codes(59, 8)})
    check_error(
        train(tmp_path / "bundle", "--val", validation),
        "class 'Alpha' has no stretch of 60 known bases; give longer sequences or a shorter --read-length",
    )
    assert not (tmp_path / "bundle").exists()


def test_missing_genome(train: Train, genome_files: list[Path], tmp_path: Path) -> None:
    genomes = [genome_files[0], tmp_path / "none.fna"]
    check_error(train(tmp_path / "bundle", genomes=genomes), "none.fna: no such file")
    assert list(tmp_path.iterdir()) == []
