"""Toy genomes, and a server of some."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from prep.mirror import Mirror
from prep.toy_genbank import ASSEMBLIES, BASES
from prep.toy_plan import CONTENTS, FOLDERS, write_plan
from toys import strain_of, uniform_codes

from genood.sequence import decode


@pytest.fixture(scope="session")
def sequences() -> dict[str, bytes]:
    """The files of the toy GenBank's genomes, by directory."""
    contents = {}
    for each in ASSEMBLIES:
        letters = decode(strain_of(uniform_codes(BASES, each.seed), each.number))
        lines = "\n".join(letters[i : i + 80] for i in range(0, BASES, 80))
        contents[each.folder] = gzip.compress(f">CP{each.number}.1 {each.genus}\n{lines}\n".encode(), mtime=0)
    return contents


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """Of three genomes."""
    with Mirror(dict(zip(FOLDERS, CONTENTS, strict=True))) as server:
        yield server


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Of all three."""
    return write_plan(tmp_path / "plan.tsv", range(3))
