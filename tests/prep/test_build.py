"""Building a dataset from NCBI's lists of genomes, from one command."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Genood
from prep.mirror import NCBI, Answer, Mirror, genome_path, wait_for
from prep.toy_genbank import (
    ASSEMBLIES,
    BASES,
    CONFIG,
    DATA,
    HISTORICAL,
    OPTIONS,
    PLANNED,
    SUMMARY,
    build_all,
    build_command,
    genbank,
    run_build,
    summary_of,
)

from data_prep.build import BuildConfig, open_build
from data_prep.build_record import content_of
from data_prep.catalogue import make_catalogue
from data_prep.cli import cli
from data_prep.cli.build import command
from data_prep.download import DownloadConfig
from data_prep.plan import PlanConfig
from data_prep.report_files import GENBANK, path_of
from genood.dataset import Dataset
from genood.errors import ConfigError, GenoodError, InputError


@pytest.fixture
def mirror(sequences: dict[str, bytes]) -> Iterator[Mirror]:
    """Of the toy GenBank."""
    with Mirror(sequences) as server:
        server.files |= genbank()
        yield server


@contextmanager
def running_build(directory: Path, *options: str | Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    # A child inherits that SIGINT is ignored, as in a shell's background job, but not a handler.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(build_command(directory, *options), stdout=pipe, stderr=pipe, text=True) as process:
        signal.signal(signal.SIGINT, handler)
        try:
            yield process
        finally:
            process.kill()


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(table.splitlines(), delimiter="\t"))


def asked_paths(mirror: Mirror) -> set[str]:
    return {request.path for request in mirror.requests}


def test_from_reports_to_scores(
    mirror: Mirror, sequences: dict[str, bytes], genood_here: Genood, tmp_path: Path
) -> None:
    """The server vanishes in the middle, and comes back; then a model is trained, and tells reads apart."""
    directory = tmp_path / "built"
    stalled = PLANNED[5]
    mirror.misbehave(genome_path(stalled.folder), Answer(stop_after=9000, then="stall"))
    with running_build(directory, "--base-url", mirror.url) as process:
        part = directory / "genomes" / f"{stalled.file}.part"
        wait_for(lambda: part.exists() and part.stat().st_size > 0)
        mirror.vanish()
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.splitlines()[-1] == (
        "genood-prep: error: 7 of 12 genomes are missing; run the command again to try them anew"
    )
    plan_tables, _, downloads = stdout.rpartition("\n\n")
    assert rows_of(plan_tables.partition("\n\n")[0])[0] == {
        "split": "train_in",
        "classes": "2",
        "genomes": "4",
        "bases": str(4 * BASES),
    }
    assert [row["genomes"] for row in rows_of(downloads)] == ["5", "0", "7"]
    planned = rows_of((directory / "plan.tsv").read_text())
    assert [(row["split"], row["class"], row["file"]) for row in planned] == [
        (each.split, each.genus, each.file) for each in PLANNED
    ]
    assert not (directory / "dataset").exists()

    with Mirror(sequences) as back:
        again = run_build(directory, "--base-url", back.url)
        assert again.returncode == 0, again.stderr
        # Neither the reports nor anything of the genomes that are there.
        assert asked_paths(back) == {
            path
            for each in PLANNED[5:]
            for path in (genome_path(each.folder), f"{each.folder}/md5checksums.txt")
        }
        assert back.asked(genome_path(stalled.folder))[0].headers["Range"] == "bytes=9000-"
    downloads, _, reads = again.stdout.rpartition("\n\n")
    assert [row["genomes"] for row in rows_of(downloads)] == ["7", "5", "0"]
    assert [(row["split"], row["class"], row["genomes"], row["reads"]) for row in rows_of(reads)] == [
        ("train_in", "Bacillus", "2", "300"),
        ("train_in", "Yersinia", "2", "300"),
        ("val_in", "Bacillus", "1", "300"),
        ("val_in", "Yersinia", "1", "300"),
        ("val_ood", "Advenella", "1", "300"),
        ("val_ood", "Archangium", "1", "300"),
        ("test_in", "Bacillus", "1", "300"),
        ("test_in", "Yersinia", "1", "300"),
        ("test_ood", "Agromyces", "1", "300"),
        ("test_ood", "Blautia", "1", "300"),
    ]
    dataset = directory / "dataset"
    assert again.stderr.endswith(f"genood-prep: next: genood train {dataset} -o bundle\n")
    assert {path.name for path in directory.iterdir()} == {
        *("reports", "catalogue.tsv", "plan.tsv", "genomes", "dataset", "build.json")
    }
    Dataset.load(dataset, verify=True)

    # All is there, so that no server is needed.
    third = run_build(directory)
    assert (third.returncode, third.stdout) == (0, reads)

    check_scores(genood_here, dataset, tmp_path)


def check_scores(genood: Genood, dataset: Path, folder: Path) -> None:
    """A context model of a dataset tells its test reads apart."""
    bundle = folder / "b"
    trained = genood("train", dataset, "-o", bundle, "--device", "cpu")
    assert trained.returncode == 0, trained.stderr
    for split in ("test_in", "test_ood"):
        arguments = ("-m", bundle, dataset / f"{split}.npy", "-o", folder / f"{split}.tsv", "--device", "cpu")
        scored = genood("score", *arguments)
        assert scored.returncode == 0, scored.stderr
        rows = rows_of((folder / f"{split}.tsv").read_text())
        assert [row["read_id"] for row in rows] == [f"{split}:{number}" for number in range(600)]
    evaluated = genood("evaluate", folder / "test_in.tsv", folder / "test_ood.tsv")
    assert evaluated.returncode == 0, evaluated.stderr
    assert {row["metric"]: float(row["value"]) for row in rows_of(evaluated.stdout)}["auroc"] > 0.95


def test_reports_count_by_content(mirror: Mirror, tmp_path: Path) -> None:
    paths = []
    for name in (SUMMARY, HISTORICAL):
        paths.append(tmp_path / name.rpartition("/")[2])
        paths[-1].write_bytes(genbank()[name])
    download = DownloadConfig(base_url=mirror.url)
    config = replace(CONFIG, reports=tuple(map(str, paths)), download=download)
    summaries = build_all(tmp_path / "d", config)
    moved = Path(shutil.copytree(tmp_path / "d", tmp_path / "e")).parent / "s.txt"
    shutil.move(paths[0], moved)
    same = replace(config, reports=(str(paths[1]), str(moved)), download=DownloadConfig(jobs=1))
    assert build_all(tmp_path / "e", same) == summaries
    moved.write_bytes(summary_of([ASSEMBLIES[0].row()]))
    with pytest.raises(InputError, match=r"catalogue\.tsv was made with other reports; "):
        build_all(tmp_path / "e", same)
    with pytest.raises(InputError, match=r"assembly_summary_genbank\.txt: no such file"):
        build_all(tmp_path / "e", config)
    # Of URLs, the URL.
    with pytest.raises(InputError, match=r"catalogue\.tsv was made with other reports; "):
        build_all(tmp_path / "e", replace(config, reports=GENBANK))
    assert not [path for path in asked_paths(mirror) if "REPORTS" in path]


def test_a_taxdump_of_ncbi(mirror: Mirror, tmp_path: Path) -> None:
    path = tmp_path / "taxdump.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted((DATA / "taxdump_2025").iterdir()):
            archive.add(file, file.name)
    mirror.files["/pub/taxonomy/taxdump.tar.gz"] = path.read_bytes()
    reports = (str(DATA / "prokaryotes_2021.txt"),)
    download = DownloadConfig(base_url=mirror.url)
    url = f"{NCBI}/pub/taxonomy/taxdump.tar.gz"
    for taxdump in (url, str(path), str(DATA / "taxdump_2025")):
        directory = tmp_path / str(len(taxdump))
        config = replace(CONFIG, reports=reports, taxdump=taxdump, download=download)
        with open_build(directory, config) as build:
            build.make_catalogue()
        make_catalogue(reports, str(tmp_path / "c.tsv"), taxdump=str(path))
        assert (directory / "catalogue.tsv").read_text() == (tmp_path / "c.tsv").read_text()
        with open_build(directory, config) as build:
            build.make_catalogue()
    assert asked_paths(mirror) == {"/pub/taxonomy/taxdump.tar.gz"}
    assert len(mirror.requests) == 1
    record = json.loads((tmp_path / str(len(url)) / "build.json").read_text())
    assert record["products"]["catalogue.tsv"]["fetched"] == {url: content_of(path)}


def test_a_report_that_cannot_be_had(mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files[HISTORICAL]
    result = run_build(tmp_path / "d", "--base-url", mirror.url)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"genood-prep: error: {mirror.url}{HISTORICAL}: HTTP 404 Not Found"
    )
    mirror.files[HISTORICAL] = genbank()[HISTORICAL]
    result = run_build(tmp_path / "d", "--base-url", mirror.url, "--plan-only")
    assert result.returncode == 0
    assert len(mirror.asked(SUMMARY)) == 1
    assert result.stderr.endswith(f"without --plan-only goes on from {tmp_path / 'd' / 'plan.tsv'}\n")
    assert {path.name for path in (tmp_path / "d").iterdir()} == {
        *("reports", "catalogue.tsv", "plan.tsv", "build.json")
    }


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (b"<html>Log in to this network</html>\n", "line 1: is no report of NCBI's"),
        (genbank()[SUMMARY][:-150], "line 17: the row ends after 3 columns"),
    ],
    ids=["foreign", "cut"],
)
def test_a_report_that_is_none_is_fetched_anew(
    mirror: Mirror, tmp_path: Path, page: bytes, problem: str
) -> None:
    mirror.files[SUMMARY] = page
    config = replace(CONFIG, download=DownloadConfig(base_url=mirror.url))
    with pytest.raises(InputError) as error:
        build_all(tmp_path / "d", config)
    assert str(error.value).startswith(f"{mirror.url}{SUMMARY}, {problem}")
    assert str(error.value).endswith("; it is not kept: run the same command again to fetch it anew")
    assert not [path for path in (tmp_path / "d").rglob("*") if path.is_file()]
    mirror.files |= genbank()
    assert build_all(tmp_path / "d", config)


def test_a_taxdump_that_is_none_is_fetched_anew(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/t.tar.gz"] = b"<html>Log in to this network</html>\n"
    config = replace(CONFIG, reports=(str(DATA / "prokaryotes_2021.txt"),), taxdump=f"{mirror.url}/t.tar.gz")
    with pytest.raises(
        InputError, match=r"/t\.tar\.gz: is neither a directory nor a tar file.* to fetch it anew$"
    ):
        build_all(tmp_path / "d", config)
    assert not [path for path in (tmp_path / "d").rglob("*") if path.is_file()]


def test_a_genome_that_was_withdrawn(mirror: Mirror, tmp_path: Path) -> None:
    """The message says how to go on without it, and that works."""
    gone = PLANNED[1]
    for name in (genome_path(gone.folder), f"{gone.folder}/md5checksums.txt"):
        del mirror.files[name]
    directory = tmp_path / "d"
    result = run_build(directory, "--base-url", mirror.url)
    assert result.returncode == 1
    plan = directory / "plan.tsv"
    assert result.stderr.splitlines()[-1] == (
        "genood-prep: error: 1 of 12 genomes are missing; run the command again to try them anew; of those "
        f"that NCBI no longer has (404, or no md5), take the rows out of {plan}"
    )
    lines = plan.read_text().splitlines(keepends=True)
    plan.write_text("".join(line for line in lines if gone.accession not in line))
    result = run_build(directory, "--base-url", mirror.url)
    assert result.returncode == 0, result.stderr


def test_nobody_reads_the_tables(mirror: Mirror, tmp_path: Path) -> None:
    directory = tmp_path / "d"
    with running_build(directory, "--base-url", mirror.url) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        stderr = process.stderr.read()
        assert process.wait(60) == 0
    assert stderr.endswith(f"next: genood train {directory}/dataset -o bundle\n")
    assert Dataset.load(directory / "dataset").splits["val_in"].num_reads == 600


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taxdump": "missing.tar.gz"}, r"missing\.tar\.gz: no such file"),
        ({"taxdump": NCBI}, "names no file"),
        ({"reports": (f"{NCBI}/genomes/",)}, "names no file"),
        ({"synonyms": ("/dev/null",)}, "/dev/null: is no regular file"),
    ],
)
def test_a_failed_start_leaves_nothing(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, ConfigError), match=message):
        build_all(tmp_path / "d", replace(CONFIG, **changes))
    with pytest.raises(InputError, match=r"its directory .* does not exist"):
        build_all(tmp_path / "new" / "d", CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fetch", "download", "draw"])
def test_interrupt_and_continue(
    mirror: Mirror, sequences: dict[str, bytes], tmp_path: Path, step: str
) -> None:
    directory = tmp_path / "d"
    stalled = {"fetch": SUMMARY, "download": genome_path(PLANNED[2].folder), "draw": ""}[step]
    mirror.misbehave(stalled, Answer(stop_after=100, then="stall"))
    options = ("--base-url", mirror.url, "--reads-per-class", "30000", "--length", "100")
    with running_build(directory, *options) as process:
        if step == "draw":
            wait_for(lambda: bool(list(directory.glob(".dataset.*"))))
        else:
            wait_for(lambda: bool(mirror.asked(stalled)))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "genood-prep: interrupted"
    assert not [path for path in directory.iterdir() if "dataset" in path.name]
    asked = len(mirror.requests)
    result = run_build(directory, *options)
    assert result.returncode == 0, result.stderr
    assert {request.path for request in mirror.requests[asked:]}.isdisjoint(
        {"fetch": set(), "download": {SUMMARY, genome_path(PLANNED[0].folder)}, "draw": asked_paths(mirror)}[
            step
        ]
    )
    assert Dataset.load(directory / "dataset").splits["val_in"].codes.shape == (60_000, 100)
    assert result.stderr.endswith(f"next: genood train {directory}/dataset -o bundle --read-length 100\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (GENBANK[0], "d/ftp.ncbi.nlm.nih.gov/genomes/ASSEMBLY_REPORTS/assembly_summary_genbank.txt"),
        ("http://localhost:80/../a/./b c/d?e=f/g", "d/localhost%3A80/a/b%20c/d%3Fe%3Df%2Fg"),
        ("some/file.txt", "some/file.txt"),
    ],
)
def test_where_fetched_files_are(name: str, expected: str) -> None:
    assert str(path_of(name, Path("d"))) == expected


@pytest.mark.parametrize("url", ["https:///file.txt", "https://[::1/file.txt", "https://x:65536/file.txt"])
def test_a_url_of_no_server(url: str) -> None:
    with pytest.raises(ConfigError, match="names no server"):
        path_of(url, Path("d"))


@pytest.mark.parametrize("url", ["https://ftp.ncbi.nlm.nih.gov", "https://ftp.ncbi.nlm.nih.gov/genomes/"])
def test_a_url_of_no_file(url: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        path_of(url, Path("d"))


def test_bad_configuration() -> None:
    with pytest.raises(ConfigError, match="needs a report"):
        BuildConfig(reports=())
    with pytest.raises(ConfigError, match="takes its classes from a list"):
        BuildConfig(plan=PlanConfig(classes=()))


def test_usage() -> None:
    result = CliRunner().invoke(command, ["-o", "d", *OPTIONS, "--num-in", "3"])
    assert result.exit_code == 2
    assert "--num-in and --num-ood say how many classes to choose" in result.output
    assert CliRunner().invoke(command, OPTIONS).exit_code == 2


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("google.protobuf", GenoodError),
        ("matplotlib", GenoodError),
        ("data_prep.nothing", ModuleNotFoundError),
    ],
)
def test_a_package_that_is_missing(
    module: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an extra's packages only it is said how to get them."""

    def fail(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(command, "invoke", fail)
    with pytest.raises(error, match=module):
        cli.main(["build", "-o", "d"], standalone_mode=False)
