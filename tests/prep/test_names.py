"""Genera from names, and the table of synonyms."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.names import SYNONYMS, Synonyms, genus_of_name
from data_prep.tsv import read_table
from genood.errors import InputError


@pytest.mark.parametrize(
    ("organism", "genus"),
    [
        ("Salmonella enterica subsp. enterica serovar Typhimurium str. LT2", "Salmonella"),
        ("Streptomyces sp. PAMC 26508", "Streptomyces"),
        ("Bacillus cereus group sp. BfR-BA-01380", "Bacillus"),
        ("Leptospirillum sp. Group II 'CF-1'", "Leptospirillum"),
        ("Bacillus anthracis str. 'Ames Ancestor'", "Bacillus"),
        ("Agrobacterium genomosp. 13 str. CFBP 6927", "Agrobacterium"),
        ("Bacterioplanes sanyensis", "Bacterioplanes"),
        ("Proteus mirabilis", "Proteus"),
        ("Salmonella", "Salmonella"),
    ],
)
def test_genus(organism: str, genus: str) -> None:
    assert genus_of_name(organism) == (genus, "")


@pytest.mark.parametrize(
    ("organism", "reason"),
    [
        ("", "it has no name"),
        ("Candidatus Thiodictyon syntrophicum", "Candidatus"),
        ("'Candidatus Kapabacteria' thiocyanatum", "name in quotation marks"),
        ("'Nostoc azollae' 0708", "name in quotation marks"),
        ("[Clostridium] scindens ATCC 35704", "genus in brackets"),
        ("uncultured Bacteroides sp.", "uncultured or unclassified"),
        ("Uncultured bacterium", "uncultured or unclassified"),
        ("unclassified Bacillus", "uncultured or unclassified"),
        ("unidentified eubacterium SCB49", "uncultured or unclassified"),
        ("endosymbiont of Riftia pachyptila (vent Ph05)", "named as a symbiont"),
        ("Wolbachia endosymbiont of Drosophila melanogaster", "named as a symbiont"),
        ("Solemya velum gill symbiont", "named as a symbiont"),
        ("Escherichia phage T4", "named as a virus"),
        ("Bacteriophage sp.", "named as a virus"),
        ("Onion yellows phytoplasma OY-M", "named as a phytoplasma"),
        ("alpha proteobacterium HIMB59", "name begins in lower case"),
        ("bacterium 336/3", "name begins in lower case"),
        ("Flavobacteriaceae bacterium 3519-10", "first word is no genus"),
        ("Methanomassiliicoccales archaeon RumEn M1", "first word is no genus"),
        ("SAR86 cluster bacterium SAR86E", "first word is no genus"),
        ("Corynebacterium-like bacterium B27", "first word is no genus"),
        ("Bacteria bacterium", "first word is no genus"),
        ("Firmicutes bacterium CAG:124", "no species after the first word"),
        ("Microgenomates group bacterium GW2011_GWA1_46_7", "no species after the first word"),
        ("Marine Group II euryarchaeote SCGC AB-629-J06", "no species after the first word"),
        ("Omnitrophica WOR_2 bacterium SM23_29", "no species after the first word"),
        ("Bacteroidetes oral taxon 274 str. F0058", "no species after the first word"),
    ],
)
def test_no_genus(organism: str, reason: str) -> None:
    assert genus_of_name(organism) == ("", reason)


def test_names_of_the_papers_lists() -> None:
    synonyms = Synonyms.load()
    today = {
        "Moorea": "Moorena",
        "Sulfobacter": "Sulfitobacter",
        "Coralloccoccus": "Corallococcus",
        "Plantactinosporea": "Plantactinospora",
        "Fuerstia": "Fuerstiella",
        "Labrenzia": "Roseibium",
        "Oblitimonas": "Thiopseudomonas",
        "Bacillus": "Bacillus",
    }
    assert {name: synonyms.genus(name) for name in today} == today


def test_every_synonym_has_its_source() -> None:
    rows = [row for _, row in read_table(SYNONYMS, ("name", "genus", "source"))]
    assert all(len(row["source"]) > 20 for row in rows)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)


def table(path: Path, *rows: str) -> Path:
    path.write_text("name\tgenus\tsource\n" + "".join(row + "\n" for row in rows))
    return path


def test_a_later_table_overrules(tmp_path: Path) -> None:
    mine = table(tmp_path / "mine.tsv", "Moorea\tMoorea\tmy own view", "Priestia\tBacillus\tas before 2020")
    synonyms = Synonyms.load((SYNONYMS, mine))
    assert synonyms.genus("Moorea") == "Moorea"
    assert synonyms.genus("Priestia") == "Bacillus"
    assert synonyms.genus("Fuerstia") == "Fuerstiella"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("Moorea\tMoorena\t",), "line 2: has no source"),
        (("Moorea\tMoorena\ta", "Moorea\tMoorena\tb"), "line 3: lists 'Moorea' again, after line 2"),
        (("A\tB\ts", "B\tC\ts"), "line 2: 'A' is called 'B', which is itself called 'C'"),
        (("Moorena\tA\ts",), "line 2: 'Moorea' is called 'Moorena', which is itself called 'A'"),
        (("A\tB\ts\tmore",), "line 2: has 4 cells, but the header 3"),
    ],
)
def test_bad_synonyms(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Synonyms.load((SYNONYMS, table(tmp_path / "s.tsv", *rows)))
