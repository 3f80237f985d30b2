"""Score tables made up for reports, and what a page holds, read as a browser would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from conftest import Genood

COLUMNS = (
    *("read_id", "mate", "length", "num_scored", "gc", "log_likelihood", "background_log_likelihood"),
    *("llr", "llr_per_base", "ood_score", "p_value", "call"),
)
Row = Mapping[str, object]


def score_row(name: str, p_value: float | str, score: float | str, **cells: object) -> Row:
    """A row of a score table, of a read of 100 bases called at 0.05."""
    call = "na" if p_value == "" else "ood" if float(p_value) <= 0.05 else "in"
    ratio = "" if score == "" else -float(score)
    row = {"read_id": name, "mate": 0, "length": 100, "num_scored": 100, "gc": 0.5, "llr_per_base": ratio}
    return {**row, "ood_score": score, "p_value": p_value, "call": call, **cells}


def write_scores(path: Path, rows: Iterable[Row], more: Sequence[str] = ()) -> Path:
    """Write a score table, with more columns."""
    names = [*COLUMNS, *more]
    lines = ["\t".join(str(row.get(name, "")) for name in names) for row in rows]
    path.write_text("\n".join(["\t".join(names), *lines]) + "\n")
    return path


OpenTab = Callable[..., AbstractContextManager[Any]]
"""Opens a page's file in a browser and waits until so many charts are drawn; see the fixture."""


class Page(HTMLParser):
    """A page's tables by caption or class, its texts by tag, its elements, and the data of its script."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: dict[str, list[str]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.source = path.read_text()
        self.feed(self.source)
        self.data: dict[str, Any] = json.loads(self.texts["script"][0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"meta", "input", "path", "br", "hr", "link", "img"}:
            return
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self._rows, self._caption = [], dict(attrs).get("class") or ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "path":
            return
        assert self._open.pop() == tag, f"{tag} is closed where it is not open"
        if tag == "table":
            self.tables.setdefault(self._caption, self._rows)

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self._rows[-1][-1] = (self._rows[-1][-1] + data).strip()

    def table(self, start: str) -> list[list[str]]:
        """The rows, with the header, of the table whose caption starts so."""
        return next(rows for caption, rows in self.tables.items() if caption.startswith(start))

    def facts(self) -> dict[str, str]:
        """The numbers at the head of the first run."""
        return dict(zip(self.texts["dt"], self.texts["dd"], strict=False))


def page_of(genood_here: Genood, *arguments: str | Path) -> Page:
    """The page that `genood report` writes, and says nothing about."""
    result = genood_here("report", *arguments, "-o", "report.html")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return Page(Path("report.html"))
