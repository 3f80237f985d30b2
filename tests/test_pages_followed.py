"""Pages that can be followed: every command of them runs, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from executed_pages import run_page

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("name", "num_examples"), [("tutorial", 20), ("add_detector", 10)])
def test_line_by_line(name: str, num_examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert run_page(ROOT / "docs" / f"{name}.md") >= num_examples


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("console\n$ printf 'one\\n'\nother\n", "got, with status 0:\none"),
        ("console\n$ true\n$ exit 3\n", "with status 3"),
        ("python\n>>> 1 + 1\n3\n", "Got:\n    2"),
    ],
)
def test_a_page_that_is_not_true_fails(tmp_path: Path, block: str, message: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```{block}```\n")
    with pytest.raises(Exception, match=message):
        run_page(page)
