"""The table in docs/detectors.md and `DETECTORS` are of the same detectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from genood.detectors import DETECTORS

TEXT = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
ROWS = [
    [cell.strip() for cell in line.replace(r"\|", "¦").strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]


def test_all_in_order() -> None:
    assert [row[0].strip("`") for row in ROWS] == list(DETECTORS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip("`") for row in ROWS])
def test_row(row: list[str]) -> None:
    name, formula, needs, learns, source = row
    detector = DETECTORS[name.strip("`")]
    assert formula
    assert set(needs.split(", ")) == detector.needs
    assert learns == ("yes" if detector.requires_fit else "no")
    assert source


@pytest.mark.parametrize("name", [name for name in DETECTORS if DETECTORS[name].grid])
def test_values_to_choose_are_named(name: str) -> None:
    assert f"of `{name}`" in TEXT
