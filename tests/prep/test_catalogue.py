"""The catalogue of NCBI's genomes."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
import sys
from datetime import date
from itertools import permutations
from pathlib import Path
from threading import Thread

import pytest

from data_prep.catalogue import LEVELS, CatalogueConfig, build_catalogue, make_catalogue
from data_prep.catalogue_table import Genome, genome_key, merge_genomes, read_catalogue, write_catalogue
from data_prep.cli import catalogue as cli
from data_prep.ncbi_reports import read_report
from data_prep.taxonomy import Taxonomy
from genood.errors import ConfigError, InputError

DATA = Path(__file__).parents[1] / "data" / "catalogue"
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "catalogue"
ALL = "https://ftp.ncbi.nlm.nih.gov/genomes/all"
EVERY_LEVEL = CatalogueConfig(levels=tuple(LEVELS))


def sample(*names: str) -> list[str]:
    return [str(DATA / f"{name}.txt") for name in names]


def genera(genomes: list[Genome]) -> dict[str, str]:
    return {genome.accession: genome.genus for genome in genomes}


LT2 = Genome(
    "GCA_000006945.2",
    "Salmonella enterica subsp. enterica serovar Typhimurium str. LT2",
    "99287",
    "Salmonella",
    date(2001, 10, 26),
    "Complete Genome",
    4_951_380,
    52.2171,
    f"{ALL}/GCA/000/006/945/GCA_000006945.2_ASM694v2",
)


def test_prokaryotes() -> None:
    genomes, left_out = build_catalogue(sample("prokaryotes_2021"))
    assert genomes[1] == LT2
    assert genera(genomes) == {
        "GCA_000005845.2": "Escherichia",
        "GCA_000006945.2": "Salmonella",
        "GCA_000195955.2": "Mycobacterium",
        "GCA_001267255.1": "Thiopseudomonas",
        "GCA_001458655.1": "Methanobacterium",
        "GCA_009363435.1": "Roseibium",
    }
    assert left_out == {
        "assembly level is Scaffold": 2,
        "assembly level is Contig": 1,
        "Candidatus": 1,
        "name in quotation marks": 1,
        "named as a symbiont": 2,
        "named as a phytoplasma": 1,
        "genus in brackets": 1,
        "first word is no genus": 1,
        "name begins in lower case": 1,
    }


def test_older_columns_and_paths() -> None:
    genomes, _ = build_catalogue(sample("prokaryotes_2015"))
    assert genomes[0] == LT2
    assert genomes[1].path == f"{ALL}/GCA/000/195/955/GCA_000195955.2_ASM19595v2"


def test_assembly_summary_of_genbank() -> None:
    genomes, left_out = build_catalogue(sample("assembly_summary_2017"))
    smithii = genomes[0]
    assert smithii.accession == "GCA_000016525.1"
    assert (smithii.genus, smithii.release_date) == ("Methanobrevibacter", date(2007, 6, 4))
    assert (smithii.size, smithii.gc) == (None, None)
    assert left_out == {"assembly level is Contig": 1}


def test_assembly_summary_of_today() -> None:
    genomes, _ = build_catalogue(sample("assembly_summary_refseq_2024"))
    bombi = genomes[0]
    assert bombi.accession == "GCF_003522965.1"
    assert (bombi.taxid, bombi.genus, bombi.size, bombi.gc) == (
        "1303590",
        "Bombilactobacillus",
        1_842_084,
        34.5,
    )
    assert bombi.path == f"{ALL}/GCF/003/522/965/GCF_003522965.1_ASM352296v1"


def test_assembly_levels() -> None:
    reports = sample("prokaryotes_2021", "assembly_summary_refseq_2024")
    genomes, left_out = build_catalogue(reports, CatalogueConfig(levels=("scaffold", "contig")))
    assert {genome.assembly_level for genome in genomes} == {"Scaffold"}
    assert left_out["assembly level is Complete Genome"] == 16
    with pytest.raises(ConfigError, match="no assembly level finished"):
        CatalogueConfig(levels=("finished",))
    with pytest.raises(ConfigError, match="needs an assembly level"):
        CatalogueConfig(levels=())


def test_genbank_and_refseq_count_once() -> None:
    for reports in permutations(sample("assembly_summary_2017", "assembly_summary_refseq_2021")):
        genomes, left_out = build_catalogue(reports)
        assert [genome.accession for genome in genomes if genome.genus == "Methanobrevibacter"] == [
            "GCA_000016525.1"
        ]
        assert left_out["the same genome again"] == 1


def test_files_of_several_years_count_once_and_complete_each_other() -> None:
    reports = sample("prokaryotes_2015", "prokaryotes_2021", "assembly_summary_2017")
    genomes, left_out = build_catalogue(reports)
    assert LT2 in genomes
    assert left_out["the same genome again"] == 3
    # The summary of 2017 has no sizes, the report of 2021 does.
    mb9 = next(genome for genome in genomes if genome.accession == "GCA_001458655.1")
    assert mb9.size == 2_494_510


def test_versions_of_a_genome() -> None:
    old = LT2._replace(accession="GCA_000006945.1", release_date=date(1999, 1, 1), size=None)
    newer = LT2._replace(accession="GCA_000006945.10", size=None, gc=None)
    refseq = LT2._replace(accession="GCF_000006945.11", release_date=date(2003, 1, 1))
    for rows in permutations([old, LT2, newer, refseq]):
        assert merge_genomes(rows) == [
            newer._replace(release_date=date(1999, 1, 1), size=LT2.size, gc=LT2.gc)
        ]
    assert genome_key("GCF_000006945.11") == genome_key(old.accession) != genome_key("GCA_000006946.2")


def test_lineage_over_name() -> None:
    taxonomy = Taxonomy.load(DATA / "taxdump_2025")
    genomes, left_out = build_catalogue(sample("prokaryotes_2021"), EVERY_LEVEL, taxonomy=taxonomy)
    assert genera(genomes) == {
        "GCA_000006945.2": "Salmonella",
        "GCA_000211815.1": "Moorena",  # Moorea in the dump
        "GCA_001458655.1": "Methanobacterium",
        "GCA_002813775.1": "Thiodictyon",
        "GCA_016584325.1": "Wolbachia",
    }
    assert left_out == {"taxid is not in the taxdump": 11, "no genus in the lineage": 1}


def edited(tmp_path: Path, old: str, new: str, name: str = "assembly_summary_refseq_2024") -> list[str]:
    text = (DATA / f"{name}.txt").read_text()
    assert old in text
    path = tmp_path / "edited.txt"
    path.write_text(text.replace(old, new, 1))
    return [str(path)]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\tlatest\t", "\tsuppressed\t", "version is suppressed"),
        ("\tlatest\t", "\treplaced\t", "version is replaced"),
        ("GCF_003522965.1\tPRJ", "na\tPRJ", "no accession"),
        ("GCF_003522965.1\tPRJ", "GCF_003522965\tPRJ", "no accession"),
        ("2018/09/10", "na", "no release date"),
        ("2018/09/10", "2018/13/10", "no release date"),
        (f"{ALL}/GCF/003/522/965/GCF_003522965.1_ASM352296v1", "na", "no path"),
        (f"{ALL}/GCF/003/522/965/GCF_003522965.1_ASM352296v1", f"{ALL}/bombi_uid1", "no path"),
        ("\tbacteria\t", "\tfungi\t", "not of Bacteria or Archaea"),
        ("\tbacteria\t", "\tmetagenomes\t", "not of Bacteria or Archaea"),
        ("Complete Genome", "na", "assembly level is unknown"),
    ],
)
def test_rows_that_are_left_out(tmp_path: Path, old: str, new: str, reason: str) -> None:
    genomes, left_out = build_catalogue(edited(tmp_path, old, new))
    assert [genome.accession for genome in genomes] == ["GCF_023380245.1"]
    assert left_out == {reason: 1, "assembly level is Scaffold": 1}


def test_dates_of_replaced_versions(tmp_path: Path) -> None:
    today = sample("assembly_summary_refseq_2024")
    historical = edited(tmp_path, "\tlatest\t", "\treplaced\t")
    report = Path(historical[0])
    report.write_text(report.read_text().replace("2018/09/10", "2012/02/01", 1))
    genomes, left_out = build_catalogue([*today, *historical])
    assert [genome.release_date for genome in genomes] == [date(2012, 2, 1), date(2022, 5, 17)]
    assert left_out["version is replaced"] == 1


def test_warning_where_a_report_has_no_groups(caplog: pytest.LogCaptureFixture) -> None:
    build_catalogue(sample("assembly_summary_refseq_2024", "prokaryotes_2021"))
    assert not caplog.records
    build_catalogue(sample("assembly_summary_2017"))
    assert "without --taxdump all 3 are taken to be" in caplog.text


def test_columns_in_another_order_and_other_line_ends(tmp_path: Path) -> None:
    lines = (DATA / "prokaryotes_2021.txt").read_text().splitlines()
    path = tmp_path / "shuffled.txt"
    shuffled = ["\t".join(reversed(line.split("\t"))) for line in lines]
    path.write_bytes(("\ufeff" + "\r\n".join([*shuffled[:3], "", *shuffled[3:]])).encode())
    # What is last no longer starts the line with '#'.
    assert build_catalogue([str(path)]) == build_catalogue(sample("prokaryotes_2021"))


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_compressed_whatever_the_name(tmp_path: Path, compress: object) -> None:
    path = tmp_path / "report.txt"
    path.write_bytes(compress((DATA / "prokaryotes_2021.txt").read_bytes()))  # type: ignore[operator]
    assert build_catalogue([str(path)]) == build_catalogue(sample("prokaryotes_2021"))


def test_reports_through_pipes(tmp_path: Path) -> None:
    text = (DATA / "prokaryotes_2021.txt").read_bytes()
    for number, content in enumerate((text, gzip.compress(text))):
        pipe = tmp_path / f"pipe{number}"
        os.mkfifo(pipe)
        writer = Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert build_catalogue([str(pipe)]) == build_catalogue(sample("prokaryotes_2021"))
        writer.join()


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "report.txt.gz"
    path.write_bytes(gzip.compress((DATA / "prokaryotes_2021.txt").read_bytes())[:-20])
    with pytest.raises(InputError, match=r"cannot be read on after line \d+ .*fetch it again"):
        build_catalogue([str(path)])


def test_truncated_row(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text((DATA / "prokaryotes_2021.txt").read_text()[:-150])
    with pytest.raises(InputError, match=r"report\.txt, line 18: the row ends after \d+ columns"):
        build_catalogue([str(path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.txt: is no report"),
        ("#\n# only comments\n", "x.txt: is no report"),
        ("a\tb\n", "x.txt, line 1: is no report"),
        ("## one\n>read\nACGT\n", "x.txt, line 2: is no report"),
        (
            "#Organism/Name\tStatus\n",
            "line 1: is a prokaryotes.txt without the column Assembly Accession, Release",
        ),
        (
            "# assembly_accession\ttaxid\n",
            "line 1: is a assembly_summary.txt without the column organism_name",
        ),
        ("\x00\x01\xff\n", "x.txt, line 1: is no report"),
    ],
)
def test_no_report(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        list(read_report(path))


def test_report_of_2012_is_refused_before_others_are_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prokaryotes_2012\.txt, line 1: .*Assembly Accession, FTP Path"):
        make_catalogue(sample("prokaryotes_2021", "prokaryotes_2012"), str(tmp_path / "c.tsv"))
    assert list(tmp_path.iterdir()) == []


def test_nothing_left() -> None:
    with pytest.raises(InputError, match=r"not one genome is left: assembly level is Complete Genome \(2\)"):
        build_catalogue(sample("assembly_summary_refseq_2024"), CatalogueConfig(levels=("contig",)))


def test_written_and_read(tmp_path: Path) -> None:
    genomes, _ = build_catalogue(sample("prokaryotes_2021", "assembly_summary_2017"))
    path = tmp_path / "c.tsv"
    write_catalogue(genomes, str(path))
    lines = path.read_text().splitlines()
    assert lines[0] == "accession\torganism\ttaxid\tgenus\trelease_date\tassembly_level\tsize\tgc\tpath"
    assert lines[2].split("\t")[3:8] == ["Salmonella", "2001-10-26", "Complete Genome", "4951380", "52.2171"]
    assert list(read_catalogue(path)) == genomes
    packed = tmp_path / "c.tsv.gz"
    write_catalogue(genomes, str(packed))
    assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
    assert list(read_catalogue(packed.rename(tmp_path / "c"))) == genomes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("GCA_000006945.2\t", "LT2\t", "line 3: accession is 'LT2'"),
        ("\tSalmonella\t", "\t\t", "line 3: has no genus"),
        ("2001-10-26", "2001", "line 3: release_date is '2001'"),
        ("\t4951380\t", "\t4.95\t", "line 3: size is '4.95'"),
        (LT2.path, "nowhere", "line 3: path is 'nowhere'"),
        ("release_date", "date", "line 1: has no column release_date"),
    ],
)
def test_bad_catalogue(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "c.tsv"
    make_catalogue(sample("prokaryotes_2021"), str(path))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        list(read_catalogue(path))


def test_empty_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        list(read_catalogue(path))
    with pytest.raises(InputError, match="name a file"):
        list(read_catalogue("-"))


def test_output_over_an_input(tmp_path: Path) -> None:
    report = tmp_path / "r.txt"
    report.write_bytes((DATA / "prokaryotes_2021.txt").read_bytes())
    with pytest.raises(ConfigError, match="both an input and an output"):
        make_catalogue([str(report)], str(report))


def test_output_over_a_taxdump(tmp_path: Path) -> None:
    dump = shutil.copytree(DATA / "taxdump_2024", tmp_path / "dump")
    before = (dump / "names.dmp").read_bytes()
    with pytest.raises(ConfigError, match=r"names\.dmp: is both an input and an output"):
        make_catalogue([str(DATA / "prokaryotes_2021.txt")], str(dump / "names.dmp"), taxdump=str(dump))
    assert (dump / "names.dmp").read_bytes() == before


def test_levels_of_the_command_line() -> None:
    assert tuple(LEVELS) == cli._LEVELS


def test_command(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("genood-prep")
    extra = tmp_path / "mine.tsv"
    extra.write_text("name\tgenus\tsource\nEscherichia\tShigella\tto see it change\n")
    output = tmp_path / "c.tsv"
    command = [program, "catalogue", *sample("prokaryotes_2021"), "--synonyms", extra, "-o", output]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "")
    assert "genood-prep: 6 genomes of 6 genera\n" in result.stderr
    assert "genood-prep: left out 2: named as a symbiont\n" in result.stderr
    assert genera(list(read_catalogue(output)))["GCA_000005845.2"] == "Shigella"
    command = [program, "catalogue", *sample("prokaryotes_2021"), "-q"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 7


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_real_reports() -> None:
    reports = [str(REAL / "prokaryotes_2021.txt.gz"), str(REAL / "assembly_summary_archaea_2017.txt.gz")]
    genomes, left_out = build_catalogue(reports)
    assert len(genomes) + left_out.total() == 8143 + 1169
    assert (len(genomes), left_out["the same genome again"]) == (2356, 141)
    assert all(genome.genus.isalpha() and genome.genus.istitle() for genome in genomes)
