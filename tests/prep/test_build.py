"""Building a dataset from NCBI's lists of genomes, from one command."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from conftest import Genood
from prep.mirror import Answer, Mirror, genome_path
from toys import strain_of, uniform_codes

from data_prep.build import BuildConfig, open_build
from data_prep.build_record import BuildRecord, content_of, differences
from data_prep.catalogue import CatalogueConfig, make_catalogue
from data_prep.cli import cli
from data_prep.cli.build import command
from data_prep.download import DownloadConfig
from data_prep.draw import DrawConfig
from data_prep.fetch import FetchConfig
from data_prep.lock import sole_writer
from data_prep.plan import PlanConfig
from data_prep.reads import ClassSummary
from data_prep.report_files import GENBANK, path_of
from genood.dataset import Dataset
from genood.errors import ConfigError, GenoodError, InputError
from genood.sequence import decode

PROGRAM = Path(sys.executable).with_name("genood-prep")
DATA = Path(__file__).parents[1] / "data" / "catalogue"
NCBI = "https://ftp.ncbi.nlm.nih.gov"
SUMMARY, HISTORICAL = (url.removeprefix(NCBI) for url in GENBANK)
BASES = 36_000
COLUMNS = (
    "assembly_accession",
    "taxid",
    "organism_name",
    "version_status",
    "assembly_level",
    "seq_rel_date",
    "ftp_path",
    "group",
    "genome_size",
)


class Assembly(NamedTuple):
    """A genome of the toy GenBank; its sequence is a strain of that of its genus, which the seed gives."""

    number: int
    version: int
    genus: str
    seed: int
    released: str
    split: str

    @property
    def accession(self) -> str:
        return f"GCA_{self.number:09d}.{self.version}"

    @property
    def folder(self) -> str:
        digits = f"{self.number:09d}"
        return f"/genomes/all/GCA/{digits[:3]}/{digits[3:6]}/{digits[6:]}/{self.accession}_ASM{self.number}v1"

    @property
    def file(self) -> str:
        return genome_path(self.folder).rpartition("/")[2]

    def row(self, **changes: str) -> str:
        """In an assembly summary."""
        cells = {
            "assembly_accession": self.accession,
            "taxid": str(self.seed),
            "organism_name": f"{self.genus} toyensis strain {self.number}",
            "version_status": "latest",
            "assembly_level": "Complete Genome",
            "seq_rel_date": self.released,
            "ftp_path": f"{NCBI}{self.folder}",
            "group": "bacteria",
            "genome_size": str(BASES),
        } | changes
        return "\t".join(cells[name] for name in COLUMNS) + "\n"


ASSEMBLIES = [
    Assembly(1, 1, "Bacillus", 1, "2005/01/01", "train_in"),
    Assembly(2, 1, "Bacillus", 1, "2009/01/01", "train_in"),
    Assembly(3, 1, "Bacillus", 1, "2013/01/01", "val_in"),
    Assembly(4, 1, "Bacillus", 1, "2018/01/01", "test_in"),
    Assembly(5, 1, "Yersinia", 2, "2006/01/01", "train_in"),
    # Its first version is of 2008, which only the historical summary knows.
    Assembly(6, 2, "Yersinia", 2, "2014/01/01", "train_in"),
    Assembly(7, 1, "Yersinia", 2, "2012/01/01", "val_in"),
    Assembly(8, 1, "Yersinia", 2, "2017/01/01", "test_in"),
    Assembly(9, 1, "Advenella", 3, "2011/06/01", "val_ood"),
    Assembly(10, 1, "Archangium", 4, "2015/06/01", "val_ood"),
    Assembly(11, 1, "Blautia", 5, "2016/06/01", "test_ood"),
    Assembly(12, 1, "Agromyces", 6, "2017/06/01", "test_ood"),
    # Released after the day of the plan.
    Assembly(13, 1, "Blautia", 5, "2020/01/01", ""),
]
PLANNED = sorted(
    (each for each in ASSEMBLIES if each.split),
    key=lambda each: (
        ["train_in", "val_in", "val_ood", "test_in", "test_ood"].index(each.split),
        each.genus,
        each.released,
    ),
)
"""In the plan's order."""
OPTIONS = ("--classes", "paper", "--as-of", "2018-09-01")
QUICK = ("--reads-per-class", "300", "--attempts", "1", "--jobs", "1")


def summary_of(rows: Sequence[str]) -> bytes:
    header = "#" + "\t".join(COLUMNS)
    return ("##  See README_assembly_summary.txt\n" + header + "\n" + "".join(rows)).encode()


def genbank() -> dict[str, bytes]:
    """GenBank's two summaries, by path."""
    rows = [each.row() for each in ASSEMBLIES]
    rows.append(Assembly(90, 1, "Bacillus", 1, "2001/01/01", "").row(assembly_level="Contig"))
    rows.append(Assembly(91, 1, "Aspergillus", 9, "2001/01/01", "").row(group="fungi"))
    old = ASSEMBLIES[5]._replace(version=1, released="2008/01/01").row(version_status="replaced")
    return {SUMMARY: summary_of(rows), HISTORICAL: summary_of([old])}


@pytest.fixture(scope="session")
def sequences() -> dict[str, bytes]:
    """The genomes' files by directory."""
    contents = {}
    for each in ASSEMBLIES:
        letters = decode(strain_of(uniform_codes(BASES, each.seed), each.number))
        lines = "\n".join(letters[i : i + 80] for i in range(0, BASES, 80))
        contents[each.folder] = gzip.compress(f">CP{each.number}.1 {each.genus}\n{lines}\n".encode(), mtime=0)
    return contents


@pytest.fixture
def mirror(sequences: dict[str, bytes]) -> Iterator[Mirror]:
    with Mirror(sequences) as server:
        server.files |= genbank()
        yield server


@pytest.fixture(scope="module")
def finished(sequences: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of `CONFIG`; tests must not change it."""
    directory = tmp_path_factory.mktemp("finished") / "d"
    with Mirror(sequences) as server:
        server.files |= genbank()
        download = DownloadConfig(base_url=server.url)
        build_all(directory, replace(CONFIG, download=download))
    return directory


@pytest.fixture
def built(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "built"))


CONFIG = BuildConfig(
    plan=PlanConfig(as_of=date(2019, 1, 1), num_in=2, num_ood=2),
    download=DownloadConfig(base_url="http://127.0.0.1:9", fetch=FetchConfig(attempts=1)),
    draw=DrawConfig(reads_per_class=30),
)
"""Without a server, so that whatever asks for one fails."""


def build_all(directory: Path, config: BuildConfig, *, redo: bool = False) -> list[ClassSummary]:
    with open_build(directory, config, redo=redo) as build:
        build.make_catalogue()
        build.make_plan()
        assert not [download for download in build.download() if download.status == "failed"]
        return build.draw()


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the build said since it was last asked."""
    messages = [each.getMessage() for each in caplog.records if each.name == "genood.prep.build"]
    caplog.clear()
    return messages


def build_command(directory: Path, *options: str | Path) -> list[str]:
    return list(map(str, (PROGRAM, "build", "-o", directory, *OPTIONS, *QUICK, *options)))


def run_build(directory: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(build_command(directory, *options), capture_output=True, text=True, timeout=120)


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


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("nothing happened for 30 s")


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
    assert again.stderr.endswith(f"genood.prep.build: next: genood train {dataset} -o bundle\n")
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


def test_a_finished_build_is_left_as_it_is(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = contents(built)
    caplog.set_level("INFO")
    summaries = build_all(built, CONFIG)
    assert contents(built) == before
    assert logged(caplog) == [
        f"{built / name} is there, made from the same" for name in ("catalogue.tsv", "plan.tsv", "dataset")
    ]
    assert summaries[:2] == [
        ("train_in", "Bacillus", 2, 2 * BASES, 2 * (BASES - 249), 30),
        ("train_in", "Yersinia", 2, 2 * BASES, 2 * (BASES - 249), 30),
    ]
    # Nor do genomes and reports have to stay.
    shutil.rmtree(built / "genomes")
    shutil.rmtree(built / "reports")
    assert build_all(built, CONFIG) == summaries


def test_what_was_removed_is_made_again(built: Path) -> None:
    before = contents(built)
    for left in ("dataset.new", ".dataset.new.1.tmp"):  # by a process that was killed
        (built / left).mkdir()
    for product in ("catalogue.tsv", "plan.tsv"):
        (built / product).unlink()
    shutil.rmtree(built / "dataset")
    build_all(built, CONFIG)
    after = contents(built)
    for name in before.keys() - {"build.json"}:
        assert after[name] == before[name], name
    assert after.keys() == before.keys()
    assert not [*built.glob("*.new"), *built.glob(".*.tmp")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": replace(CONFIG.plan, num_in=1)}, "plan.tsv was made with num_in 2 rather than 1"),
        (
            {"plan": replace(CONFIG.plan, as_of=None, train_before=date(2010, 1, 1))},
            "plan.tsv was made with as_of 2019-01-01 rather than none, "
            "train_before 2011-01-01 rather than 2010-01-01",
        ),
        (
            {"catalogue": CatalogueConfig(levels=("contig", "complete"))},
            "catalogue.tsv was made with levels complete rather than complete and contig",
        ),
        ({"classes": "paper"}, "plan.tsv was made with classes none rather than paper"),
        ({"draw": replace(CONFIG.draw, seed=1)}, "dataset was made with seed 0 rather than 1"),
        (
            {"draw": replace(CONFIG.draw, split_reads={"val_in": 9})},
            "dataset was made with split_reads none rather than val_in=9",
        ),
    ],
)
def test_a_dataset_is_not_replaced_unless_asked(built: Path, changes: dict[str, Any], message: str) -> None:
    before = contents(built)
    with pytest.raises(InputError) as error:
        build_all(built, replace(CONFIG, **changes))
    advice = "build in another directory, or have dataset replaced (--redo)"
    assert str(error.value) == f"{built}: {message}; {advice}"
    assert contents(built) == before


def test_a_dataset_is_replaced_when_asked(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = replace(
        CONFIG, plan=replace(CONFIG.plan, num_ood=1), draw=replace(CONFIG.draw, reads_per_class=20)
    )
    caplog.set_level("INFO")
    summaries = build_all(built, config, redo=True)
    assert logged(caplog) == [
        f"{built}/catalogue.tsv is there, made from the same",
        f"{built}/plan.tsv was made with num_ood 2 rather than 1; it is made anew",
        f"{built}/dataset was made with other content of plan.tsv, reads_per_class 30 rather than 20; "
        "it is made anew",
    ]
    assert [(each.split, each.num_reads) for each in summaries if each.split.endswith("ood")] == [
        ("val_ood", 20),
        ("test_ood", 20),
    ]
    assert Dataset.load(built / "dataset", verify=True).splits["val_ood"].num_reads == 20
    assert not list(built.glob("*.new"))
    assert build_all(built, config) == summaries


def test_a_dataset_survives_a_replacement_that_fails(built: Path) -> None:
    dataset = contents(built / "dataset")
    too_many = replace(CONFIG, draw=replace(CONFIG.draw, reads_per_class=10**6))
    with pytest.raises(InputError, match="too few windows"):
        build_all(built, too_many, redo=True)
    assert contents(built / "dataset") == dataset
    assert not list(built.glob("*.new"))
    build_all(built, CONFIG)
    assert contents(built / "dataset") == dataset


def test_an_end_before_the_record_is_written(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new plan is not taken for the old one."""

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    other = replace(CONFIG, plan=replace(CONFIG.plan, num_in=1))
    with monkeypatch.context() as patch:
        patch.setattr(BuildRecord, "note", end)
        with pytest.raises(KeyboardInterrupt):
            build_all(built, other, redo=True)
    with pytest.raises(InputError, match=r"plan\.tsv: is there, but build\.json does not say from what"):
        build_all(built, CONFIG)


def test_a_plan_without_a_dataset_is_made_anew(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As one tries options before anything is drawn."""
    shutil.rmtree(built / "dataset")
    caplog.set_level("INFO")
    sizes = []
    for num_ood in (1, 2):
        config = replace(CONFIG, plan=replace(CONFIG.plan, num_ood=num_ood))
        with open_build(built, config) as build:
            build.make_catalogue()
            plan = build.make_plan()
        sizes.append(None if plan is None else len(plan.genomes))
        assert ("it is made anew" in logged(caplog)[-1]) is True
    assert sizes == [10, 12]


def test_an_edited_plan_is_used(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(built / "dataset")
    plan = built / "plan.tsv"
    lines = plan.read_text().splitlines(keepends=True)
    plan.write_text("".join(line for line in lines if "Archangium" not in line))
    summaries = build_all(built, CONFIG)
    assert logged(caplog) == [f"{plan} was edited after it was made, and is taken as it is"]
    assert [each.class_name for each in summaries if each.split == "val_ood"] == ["Advenella"]
    # Edited once more, it is another one than that of the dataset.
    plan.write_text("".join(lines))
    with pytest.raises(InputError, match=r"dataset was made with other content of plan\.tsv; "):
        build_all(built, CONFIG)
    shutil.rmtree(built / "dataset")
    plan.write_text("".join(line for line in lines if "Archangium" not in line))
    other = replace(CONFIG, plan=replace(CONFIG.plan, num_in=1))
    with pytest.raises(InputError, match=r"num_in 2 rather than 1; .* or have plan\.tsv replaced \(--redo\)"):
        build_all(built, other)
    assert len(build_all(built, other, redo=True)) == 7


@pytest.mark.parametrize("product", ["catalogue.tsv", "plan.tsv", "dataset"])
def test_what_is_not_of_the_build_is_not_touched(built: Path, product: str) -> None:
    BuildRecord(built).forget(product)
    before = contents(built)
    for redo in (False, True):
        with pytest.raises(InputError, match=f"{product}: is there, but build.json does not say from what"):
            build_all(built, CONFIG, redo=redo)
    assert contents(built) == before


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


def test_one_build_at_a_time(built: Path) -> None:
    with sole_writer(built, "build"):
        result = run_build(built)
    assert result.returncode == 1
    assert result.stderr == (
        f"genood-prep: error: {built}: another build into it is running; wait for its end\n"
    )


def test_directories_that_cannot_be_built_in(built: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="is not a directory"):
        build_all(file, CONFIG)
    record = built / "build.json"
    for text, message in (
        ("{", "build.json: cannot be read"),
        ("[]", "build.json: cannot be read"),
        ('{"format_version": 1, "products": {"plan.tsv": {}}}', "build.json: is damaged"),
        ('{"format_version": 2, "products": {}}', "build.json: has format 2, of a newer genood"),
    ):
        record.write_text(text)
        with pytest.raises(InputError, match=message):
            build_all(built, CONFIG)
        assert record.read_text() == text


def test_differences() -> None:
    one, other = content_of(DATA / "README.md"), content_of(DATA / "prokaryotes_2021.txt")
    old = {"a": 1, "b": None, "c": one, "d": [one], "e": ["x"], "f": {"s": 1}, "g": one, "h": []}
    assert differences(old, dict(reversed(old.items()))) == []
    new = {"a": 2, "b": "x", "c": other, "d": [one, other], "e": ["x", "y"], "f": {}, "g": None, "h": [one]}
    assert differences(old, new) == [
        "a 1 rather than 2",
        "b none rather than x",
        "other content of c",
        "other d",
        "e x rather than x and y",
        "f s=1 rather than none",
        "g a file rather than none",
        "other h",
    ]
    # An option that came with a later version.
    assert differences({"a": 1}, {"a": 1, "b": None, "c": 3}) == ["c none rather than 3"]


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
