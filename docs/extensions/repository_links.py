"""Links of Markdown pages that are right in the repository, made right on the site.

A page may be read in the repository or, included by a page of the site, here. Links to files of the
repository lead to the page that includes them, if there is one, and else to a copy that comes with the site.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
    "workflows/README.md": "workflows.md",
}
"""Files outside this folder that pages of it include, and those pages."""
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)(?=[#)])")


def rewrite(text: str, folder: str) -> str:
    """Text of a file in a folder of the repository, with its links as from ``docs/``."""

    def as_from_docs(match: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(folder, match[0]))
        if not (ROOT / path).exists():
            return match[0]
        if page := PAGES.get(path) or PAGES.get(f"{path}/README.md"):
            return page
        there = os.path.relpath(path, "docs")
        # MyST takes Markdown for pages, unless told that it is a file.
        return f"path:{there}" if there.startswith("..") and path.endswith(".md") else there

    return LINK.sub(as_from_docs, text)


def on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Pages of this folder."""
    if "/" not in docname:  # not those that autosummary makes
        source[0] = rewrite(source[0], "docs")


def on_include(app: Sphinx, path: Path, docname: str, source: list[str]) -> None:
    """Files that they include; the path is relative to this folder."""
    source[0] = rewrite(source[0], os.path.dirname(os.path.normpath(os.path.join("docs", path))))


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to the reading of files."""
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
    return {"parallel_read_safe": True}
