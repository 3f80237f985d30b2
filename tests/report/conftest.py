"""Pages in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pages import OpenTab

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab


@pytest.fixture
def said() -> list[str]:
    """What the page said, loaded or failed to do."""
    return []


@pytest.fixture
def open_tab(browser: Browser, said: list[str]) -> OpenTab:
    """Open a page's file, and wait until so many charts are drawn."""

    @contextmanager
    def opened(file: Path, num_charts: int, **options: Any) -> Iterator[Tab]:
        context = browser.new_context(reduced_motion="reduce", **options)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_function(f"document.querySelectorAll('.chart svg.marks').length >= {num_charts}")
        yield page
        context.close()

    return opened
