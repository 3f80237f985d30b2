"""`genood train`: interruption and resuming."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from bundle_dirs import BUNDLE_FILES
from conftest import Genood, StartGenood
from refusals import check_error, snapshot
from safetensors import safe_open
from tiny_trainings import TINY, Train, results_of
from toys import markov_codes, write_fasta

from genood.cli.progress import TrainingProgress
from genood.files import temporary_beside

FOREVER = ("--steps", "1000000")
"""Steps that no test waits for, so that a signal certainly comes in the middle."""


def steps_done(bundle: Path) -> int:
    with safe_open(bundle / "checkpoint.safetensors", framework="pt") as checkpoint:
        return int(json.loads(checkpoint.metadata()["genood"])["step"])


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
    code, rest = stop_training(start_genood, genome_files, output, signal.SIGINT, at=b"genood: step 3: ")
    return output, code, rest


def test_interrupt(interrupted: tuple[Path, int, bytes], genood_here: Genood) -> None:
    directory, code, rest = interrupted
    assert code == 130
    assert rest.decode().splitlines()[-2:] == [
        "genood: stopping after this step; again to stop at once",
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
    code, _ = stop_training(start_genood, genome_files, directory, signal.SIGKILL, at=b"genood: step 6: ")
    assert code == -9
    assert not (directory / "genood.json").exists()
    assert steps_done(directory) >= 3
    half = temporary_beside(directory / "checkpoint.safetensors")
    half.write_bytes(b"half")  # as where it is killed in writing one
    (directory / "notes.tmp").touch()
    check_resumes_exactly(train, directory, tmp_path)
    assert (directory / "notes.tmp").exists()
    assert not half.exists()


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
        assert process.stderr.readline().startswith(b"genood: reference: 2 classes, 2 files")
        assert process.stderr.readline().startswith(b"genood: step 9: ")
        assert process.stderr.readline().startswith(b"genood: step 12: ")
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
    check_error(result, "cannot resume, as the sequences to train or validate on are others; give the")
    assert snapshot(directory) == before


def test_resume_of_the_same_data_elsewhere(
    train: Train, finished: Path, genome_files: list[Path], tmp_path: Path
) -> None:
    """Sequences count, not how they are wrapped or where they lie."""
    directory = Path(shutil.copytree(finished, tmp_path / "bundle"))
    beta = write_fasta(tmp_path / "Beta__moved.fna", {"b": markov_codes(6000, 3, stay=0.6)}, width=60)
    assert train(directory, "--resume", genomes=[genome_files[0], beta]).returncode == 0


def test_resume_where_nothing_can_be_written(
    train: Train, interrupted: tuple[Path, int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before hours of training, and not at the first checkpoint; root may write anywhere."""
    directory = interrupted[0]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != directory)
    result = train(directory, "--resume", *FOREVER)
    check_error(result, f"{directory}: cannot be written to; name another directory for the bundle")


def test_resume_without_checkpoint(train: Train, tmp_path: Path) -> None:
    check_error(
        train(tmp_path / "bundle", "--resume"),
        "bundle: there is no checkpoint to resume from; train without --resume",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("members", [(), ("--members", "2")])
def test_killed_in_the_first_checkpoint(train: Train, tmp_path: Path, members: tuple[str, ...]) -> None:
    """What was written of it goes: the same command begins anew, of an ensemble that member."""
    directory = tmp_path / "bundle"
    checkpoint = directory / ("member-1" if members else "") / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    half = temporary_beside(checkpoint)
    half.write_bytes(b"half")
    assert train(directory, *members, *(("--resume",) if members else ())).returncode == 0
    assert checkpoint.is_file()
    assert not half.exists()


def test_resume_from_a_damaged_checkpoint(
    train: Train, interrupted: tuple[Path, int, bytes], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(interrupted[0], tmp_path / "bundle"))
    checkpoint = directory / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    before = snapshot(directory)
    check_error(train(directory, *FOREVER, "--resume"), "checkpoint.safetensors: is not a genood checkpoint")
    assert snapshot(directory) == before


def test_unfinished_training_in_the_way(train: Train, interrupted: tuple[Path, int, bytes]) -> None:
    directory = interrupted[0]
    before = snapshot(directory)
    check_error(
        train(directory), f"{directory}: holds an unfinished training; go on with --resume, or remove"
    )
    assert snapshot(directory) == before
