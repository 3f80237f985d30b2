"""Genera by lineage."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from data_prep.taxonomy import Taxonomy
from genood.errors import InputError

DATA = Path(__file__).parents[1] / "data" / "catalogue"
DUMPS = [DATA / "taxdump_2024", DATA / "taxdump_2025"]


@pytest.fixture(params=DUMPS, ids=["superkingdom", "domain"])
def taxonomy(request: pytest.FixtureRequest) -> Taxonomy:
    return Taxonomy.load(request.param)


def test_the_samples_differ_as_they_should() -> None:
    assert ["superkingdom" in (dump / "nodes.dmp").read_text() for dump in DUMPS] == [True, False]


@pytest.mark.parametrize(
    ("taxid", "naming"),
    [
        ("99287", ("Salmonella", "")),
        ("590", ("Salmonella", "")),
        ("2162", ("Methanobacterium", "")),
        # By their names these two would be refused.
        ("163164", ("Wolbachia", "")),
        ("1166950", ("Thiodictyon", "")),
        # 12 was merged into 74109.
        ("12", ("Photobacterium", "")),
        ("198252", ("", "Candidatus")),
        ("531844", ("", "no genus in the lineage")),
        ("9606", ("", "not of Bacteria or Archaea")),
        ("131567", ("", "not of Bacteria or Archaea")),
        ("424242", ("", "taxid is not in the taxdump")),
        ("", ("", "taxid is not in the taxdump")),
    ],
)
def test_genus(taxonomy: Taxonomy, taxid: str, naming: tuple[str, str]) -> None:
    assert taxonomy.genus_of(taxid) == naming


@pytest.mark.parametrize(("mode", "root"), [("w:gz", "."), ("w", "taxdump")])
def test_tar_file(tmp_path: Path, mode: str, root: str) -> None:
    packed = tmp_path / "dump"
    with tarfile.open(packed, mode) as archive:  # type: ignore[call-overload]
        archive.add(DUMPS[1], arcname=root)
    assert Taxonomy.load(packed).genus_of("12").genus == "Photobacterium"


def test_without_merged_taxids(tmp_path: Path) -> None:
    for name in ("nodes.dmp", "names.dmp"):
        shutil.copy(DUMPS[0] / name, tmp_path)
    taxonomy = Taxonomy.load(tmp_path)
    assert taxonomy.genus_of("99287").genus == "Salmonella"
    assert taxonomy.genus_of("12").reason == "taxid is not in the taxdump"


def test_missing_or_other_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Taxonomy.load(tmp_path / "none.tar.gz")
    with pytest.raises(InputError, match=r"is no taxdump: it holds no nodes\.dmp and no names\.dmp"):
        Taxonomy.load(tmp_path)
    other = tmp_path / "other"
    other.write_text("nodes\n")
    with pytest.raises(InputError, match="neither a directory nor a tar file") as caught:
        Taxonomy.load(other)
    assert "\n" not in str(caught.value)


def test_truncated_tar_file(tmp_path: Path) -> None:
    packed = tmp_path / "dump.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(DUMPS[1], arcname="taxdump")
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"damaged|holds no"):
        Taxonomy.load(packed)


# The library leaves its files open where reading fails.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "nodes", ["no table\n", "1\t|\t1\t|\tno rank\t|\t\t|\n2\t|\t77\t|\tdomain\t|\t\t|\n", ""]
)
def test_damaged_dump(tmp_path: Path, nodes: str) -> None:
    shutil.copy(DUMPS[1] / "names.dmp", tmp_path)
    (tmp_path / "nodes.dmp").write_text(nodes)
    with pytest.raises(InputError, match="is no taxdump, or damaged"):
        Taxonomy.load(tmp_path)


def test_a_lineage_that_never_ends(tmp_path: Path) -> None:
    shutil.copy(DUMPS[1] / "names.dmp", tmp_path)
    parents = {1: 1, 3: 4, 4: 3, 5: 4}
    nodes = "".join(f"{node}\t|\t{parent}\t|\tno rank\t|\t\t|\n" for node, parent in parents.items())
    (tmp_path / "nodes.dmp").write_text(nodes)
    taxonomy = Taxonomy.load(tmp_path)
    for taxid in "345":
        assert taxonomy.genus_of(taxid) == ("", "lineage in the taxdump is a circle")
