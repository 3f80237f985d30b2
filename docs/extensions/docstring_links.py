"""Docstrings as pages of the API have them: names as links, and nothing twice.

Docstrings name objects as the module that they are in does: `Detector.score`,
`genood.intake.pairs.pair_p_values`, or a parameter, `alpha`. A name becomes a link if exactly one object on
these pages ends with it, and else is code. What starts with the package's name has to
exist: if not, Sphinx warns.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGES = ("genood", "data_prep")
TRAILING = re.compile(r"_(?!\w)")
AFTER_NAPOLEON = 600


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """The link, or the name as it stands; None for what should be there and is not."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].strip().removesuffix("()")
    domain: Any = env.get_domain("py")
    found = {name for name in domain.objects if name == target or name.endswith(f".{target}")}
    if len(found) == 1:
        node["reftarget"] = found.pop()
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", node["reftarget"], node, content)
    if target.partition(".")[0] in PACKAGES and not exists(target):
        return None
    return content


def exists(dotted: str) -> bool:
    """Whether a module, or something in one, has this name; fields of dataclasses are named, too."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if name in getattr(thing, "__annotations__", {}):  # a field without a default
                return True
            if not hasattr(thing, name):
                return False
            thing = getattr(thing, name)
        return True
    return False


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the docstrings that named tuples make of their own; the class has the fields' meaning."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None


def escape_types(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A type such as ``numpy.object_``, which napoleon writes as it stands, is no link by its underscore."""
    lines[:] = [TRAILING.sub(r"\\_", line) if line.lstrip().startswith(":type:") else line for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen for names that Sphinx does not find by itself, and to docstrings."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", escape_types, priority=AFTER_NAPOLEON)
    return {"parallel_read_safe": True}
