"""The documentation: Sphinx over the Markdown pages of this folder; `make docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

from genood import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "genood"
author = "The genood developers"
copyright = author  # noqa: A001 - the name is Sphinx's
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    # of this project
    "click_examples",
    "docstring_links",
    "repository_links",
]
exclude_patterns = ["_templates", "extensions"]
highlight_language = "none"
templates_path = ["_templates"]
nitpicky = True

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

# Names between single backquotes in docstrings are objects, as far as `docstring_links` finds them.
default_role = "py:obj"
autodoc_member_order = "bysource"
autosummary_ignore_module_all = False
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = False
napoleon_use_rtype = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"genood {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
