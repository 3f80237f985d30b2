"""What all pages have in common: one HTML file with its script and charts, which needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from genood import __version__
from genood.errors import ConfigError
from genood.report.figures import Figure

VEGA_LITE = "6.4"
"""Of the versions that vl-convert brings along."""
_NEEDED = {"jinja2": "jinja2", "markdown_it": "markdown-it-py", "vl_convert": "vl-convert-python"}
_LONGEST_NAME = 100


def check_installed() -> None:
    """Raise ConfigError if what a page is made with is not there."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a report needs {_NEEDED[missing[0]]}: pip install {' '.join(_NEEDED.values())}, or genood "
            "with its extra report"
        )


def filled(template: str, specs: dict[str, Any], **values: Any) -> str:
    """A page.

    Parameters
    ----------
    template
        Its name.
    specs
        What the page's script is given: charts by key, as `keyed` adds them, and more.
    values
        What the template shows.
    """
    check_installed()
    import jinja2
    import vl_convert

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genood.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    library = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # so its stub
    program = files("genood.report").joinpath("templates", "page.js").read_text(encoding="utf-8")
    assert "</script" not in library
    assert "<!--" not in library
    return environment.get_template(template).render(
        **values,
        version=__version__,
        libraries=f"Vega {vl_convert.get_vega_version()}, Vega-Lite {VEGA_LITE}, "
        f"Vega-Embed {vl_convert.get_vega_embed_version()}",
        data=specs,
        library=library,
        program=program,
        hashes=[_hash(f"\n{script}\n") for script in (library, program)],
    )


def _hash(script: str) -> str:
    """The source of a script as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def keyed(figures: Sequence[Figure], prefix: str, specs: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures for the template, each with the key of its chart, which is added to `specs`."""
    shown = []
    for place, figure in enumerate(figures):
        key = f"{prefix}-chart{place}"
        specs[key] = {"spec": figure.spec, "description": figure.description}
        shown.append({"key": key, "figure": figure})
    return shown


def share_of_one(value: float) -> str:
    """A fraction in percent."""
    return f"{100 * value:.3g} %"


def shown_name(name: str) -> str:
    """A name as the page shows it: without control characters, and not endless."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return clean if len(clean) <= _LONGEST_NAME else clean[: _LONGEST_NAME - 1] + "…"


def card_html(text: str) -> Any:
    """A model card as HTML, in which nothing of it is more than text; its headings go below the page's."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 3, 6)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))
