"""A toy GenBank, and builds from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from prep.mirror import NCBI, genome_path

from data_prep.build import BuildConfig, open_build
from data_prep.download import DownloadConfig
from data_prep.draw import DrawConfig
from data_prep.fetch import FetchConfig
from data_prep.plan import PlanConfig
from data_prep.reads import ClassSummary
from data_prep.report_files import GENBANK

PROGRAM = Path(sys.executable).with_name("genood-prep")
DATA = Path(__file__).parents[1] / "data" / "catalogue"
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


def build_command(directory: Path, *options: str | Path) -> list[str]:
    return list(map(str, (PROGRAM, "build", "-o", directory, *OPTIONS, *QUICK, *options)))


def run_build(directory: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(build_command(directory, *options), capture_output=True, text=True, timeout=120)
