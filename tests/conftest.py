"""Fixtures that several tests share."""

from __future__ import annotations

import io
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from toys import TRAIN_OPTIONS, markov_codes, strain_of, uniform_codes, write_fasta
from workflow_runs import new_case

from genood import threads
from genood.cli import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from toy_trainers import MakeTrainer

# Tiny models gain nothing from threads, and lose much where the cores are busy.
os.environ["OMP_NUM_THREADS"] = "1"

Genood = Callable[..., subprocess.CompletedProcess[str]]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

StartGenood = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]


def run_genood(
    *arguments: str | Path, stdin: bytes | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; its output as text."""
    command: Sequence[str] = [sys.executable, "-m", "genood", *map(str, arguments)]
    result = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, timeout=300)
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


@pytest.fixture(scope="session")
def genood() -> Genood:
    return run_genood


@pytest.fixture(scope="session")
def genome_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small genomes of two classes, Alpha (two records) and Beta."""
    folder = tmp_path_factory.mktemp("genomes")
    alpha = {"alpha1": markov_codes(4000, 1), "alpha2": markov_codes(3000, 2)}
    beta = {"beta1": markov_codes(6000, 3, stay=0.6)}
    return [
        write_fasta(folder / "Alpha__one.fna", alpha),
        write_fasta(folder / "Beta__one.fna", beta),
    ]


@pytest.fixture(scope="session")
def bundle_dir(genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LSTM bundle trained for a few steps by the command; tests must not change it."""
    output = tmp_path_factory.mktemp("bundle") / "bundle"
    result = run_genood("train", *genome_files, "-o", output, *TRAIN_OPTIONS)
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture(scope="session")
def strain_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Random genomes: Beta and Delta of two strains, `strain_of` the seeds 1 and 3; Gamma, seed 2, of one.

    A strain comes in pieces: two records, one of them with unknown bases and a run too short for a read.
    """
    folder = tmp_path_factory.mktemp("strains")
    paths = []
    for name, seed, num_strains in (("Beta", 1, 2), ("Gamma", 2, 1), ("Delta", 3, 2)):
        for strain in range(num_strains):
            codes = uniform_codes(24_000, seed)
            if num_strains > 1:
                codes = strain_of(codes, 10 * seed + strain)
            codes[[15_000, 15_100]] = 4
            records = {"one": codes[:10_000], "two": codes[10_000:]}
            paths.append(write_fasta(folder / f"{name}__{strain}.fna", records))
    return paths


@pytest.fixture(scope="session")
def context_dir(strain_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context bundle made by the command, all of it by default; tests must not change it."""
    output = tmp_path_factory.mktemp("context") / "bundle"
    result = run_genood("train", *strain_files, "-o", output, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture
def genood_here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Genood]:
    """Run the command in this process, which is quick; log lines do not reach its stderr here."""

    def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["genood", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        return subprocess.CompletedProcess(sys.argv, stop.value.code, *capfd.readouterr())

    import torch  # many tests do without

    torch_threads = torch.get_num_threads()
    monkeypatch.setattr(threads, "_chosen", None)
    level = logging.getLogger("genood").level
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield run_here
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logging.getLogger("genood").setLevel(level)
    torch.set_num_threads(torch_threads)


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    """Make trainers of two tiny models of one toy genome."""
    from toy_trainers import trainer_maker  # needs torch, and many tests do without

    return trainer_maker(tmp_path)


@contextmanager
def running_genood(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "genood", *map(str, arguments)]
    pipe = subprocess.PIPE
    # A child inherits that SIGINT is ignored, as in a shell's background job, but not a handler.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        signal.signal(signal.SIGINT, handler)
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="session")
def start_genood() -> StartGenood:
    """Run the command beside the test, with pipes; killed at the end of the block."""
    return running_genood


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; a process can drive no other beside it, nor run asyncio until it is closed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip(f"there is no Chromium here: none of {', '.join(CHROMIUMS)}")
    with playwright.sync_playwright() as started:
        # Without its sandbox, which needs more rights than containers have: the pages are our own.
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Gives bytes to what reads standard input in this process."""

    def give(content: bytes) -> None:
        buffer = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))

    return give


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case of the Snakemake workflow."""
    return new_case(tmp_path)
