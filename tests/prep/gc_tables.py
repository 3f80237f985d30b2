"""Tables that the tests of GC content read and write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def read_tsv(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def score_table(path: Path, rows: Iterable[tuple[object, ...]]) -> Path:
    columns = "read_id", "length", "num_scored", "gc", "log_likelihood", "llr", "llr_per_base", "ood_score"
    lines = ["\t".join(columns)]
    for number, (gc, num_scored, log_likelihood, llr_per_base) in enumerate(rows):
        cells = (f'r"{number}', 9, num_scored, gc, log_likelihood, 0, llr_per_base, 1)
        lines.append("\t".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path
