"""Score tables as the tests of the command read them."""

from __future__ import annotations

import csv

COLUMNS = [
    *("read_id", "mate", "length", "num_scored", "gc", "log_likelihood", "background_log_likelihood"),
    *("llr", "llr_per_base", "ood_score", "p_value", "call"),
]
TOTALS = {"log_p": "log_likelihood", "background_log_p": "background_log_likelihood", "llr": "llr"}
CPU = ("--device", "cpu", "--threads", "1")


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
