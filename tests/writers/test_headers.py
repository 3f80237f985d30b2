"""Headers of alignment files."""

from __future__ import annotations

import pysam
import pytest

from genood.writers.headers import with_program


@pytest.mark.parametrize(
    ("programs", "last"),
    [
        (["ID:bwa", "ID:sort\tPP:bwa"], "sort"),
        (["ID:sort\tPP:bwa", "ID:bwa"], "sort"),
        (["ID:one", "ID:other"], "other"),
        (["PN:x\tID:b\tPP:a\tVN:1", "ID:c\tPP:b", "ID:a"], "c"),
        (["ID:a\tPP:b", "ID:b\tPP:a"], "b"),
    ],
)
def test_program_follows_the_end_of_a_chain(programs: list[str], last: str) -> None:
    lines = ["@HD\tVN:1.6", *(f"@PG\t{fields}" for fields in programs)]
    header = pysam.AlignmentHeader.from_text("".join(f"{line}\n" for line in lines))
    *same, added = filter(None, str(with_program(header, "1.0", "")).splitlines())
    assert same == lines
    assert added == f"@PG\tID:genood\tPN:genood\tPP:{last}\tVN:1.0"


def test_first_program() -> None:
    header = pysam.AlignmentHeader.from_text("@HD\tVN:1.6\n")
    assert str(with_program(header, "1.0", "genood  score")).split("\n")[1:2] == [
        "@PG\tID:genood\tPN:genood\tVN:1.0\tCL:genood score"
    ]
