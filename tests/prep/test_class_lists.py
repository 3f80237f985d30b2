"""Lists of classes, and the one of the paper."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data_prep.class_lists import ListedClass, read_classes
from data_prep.names import Synonyms
from genood.errors import InputError

REAL = Path(__file__).parents[2].parent / "shared" / "data"


def classes_table(path: Path, *rows: str, header: str = "class\tside\talso") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_list_of_classes(tmp_path: Path) -> None:
    path = classes_table(
        tmp_path / "c.tsv", "Moorea\ttest_ood", "Bosea\tin\tRhizobacter; Devosia riboflavina"
    )
    assert read_classes(path, Synonyms.load()) == (
        ListedClass("Moorea", "test_ood", frozenset({"Moorena"})),
        ListedClass("Bosea", "in", frozenset({"Bosea", "Rhizobacter", "Devosia riboflavina"})),
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("Bosea\tood",), "line 2: side is 'ood', not one of in, val_ood, test_ood"),
        (("\tin",), "line 2: has no class"),
        (("Bosea\tin", "Bosea\tval_ood"), "line 3: class 'Bosea' holds Bosea, as does the class on line 2"),
        (
            ("Moorea\tin", "Moorena\tval_ood"),
            "line 3: class 'Moorena' holds Moorena, as does the class on line 2",
        ),
        (("Bacill\ufffds\tin",), "line 2: class is 'Bacill\ufffds', which is not UTF-8"),
        ((), "lists no class"),
    ],
)
def test_bad_list_of_classes(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_classes(classes_table(tmp_path / "c.tsv", *rows), Synonyms.load())


def test_classes_of_the_paper() -> None:
    classes = read_classes("paper", Synonyms.load())
    assert Counter(listed.side for listed in classes) == {"in": 10, "val_ood": 60, "test_ood": 60}
    assert [listed.name for listed in classes[:3]] == ["Bacillus", "Burkholderia", "Clostridium"]
    members = {listed.name: listed.members for listed in classes}
    assert members["Moorea"] == {"Moorena"}
    assert members["Fuerstia"] == {"Fuerstiella"}
    assert members["Rhizobacter"] == {"Rhizobacter", "Piscinibacter gummiphilus"}


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_classes_of_the_paper_are_the_published_ones() -> None:
    labels = json.loads((REAL / "published" / "label_dict.json").read_text())
    sides = ["in"] * 10 + ["val_ood"] * 60 + ["test_ood"] * 60
    assert {listed.name: listed.side for listed in read_classes("paper", Synonyms.load())} == {
        name: sides[number] for name, number in labels.items()
    }
