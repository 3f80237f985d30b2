"""Examples in the help of commands as code: sphinx-click makes verses of them."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

BAR = "| "


def literal_blocks(app: Sphinx, ctx: Any, lines: list[str]) -> None:
    """Turn line blocks, what follows ``\\b`` in the help, into a heading line and a literal block."""
    kept, inside = [], False
    for line in lines:
        if not line.startswith(BAR):
            kept.append(line)
        elif not inside:
            heading = line.removeprefix(BAR).strip()
            kept += [f"{heading.removesuffix(':')}::", ""]
        else:
            kept.append(f"   {line.removeprefix(BAR)}")
        inside = line.startswith(BAR)
    lines[:] = kept


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to sphinx-click, which has to be loaded before."""
    for event in ("sphinx-click-process-description", "sphinx-click-process-epilog"):
        app.connect(event, literal_blocks)
    return {"parallel_read_safe": True}
