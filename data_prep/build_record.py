"""The record of a build: what each of its products was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genood import __version__
from genood.errors import InputError
from genood.files import sha256_of, write_json

RECORD = "build.json"

FORMAT_VERSION = 1

Origin = Mapping[str, Any]
"""What a product is made from, JSON types by name: options as they are, contents of files as `content_of`."""

_CONTENT = "sha256:"
_MOVE = "move it and what was built beside it away, or build in another directory"


class BuildRecord:
    """What the products of a build, files and directories in its directory, were made from.

    Parameters
    ----------
    directory
        Of the build; it may hold a record.

    Raises
    ------
    InputError
        Its record cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / RECORD
        self._products: dict[str, dict[str, Any]] = _read(self._path) if self._path.exists() else {}

    def origin(self, product: str) -> Origin | None:
        """What a product was made from; None if that is not known."""
        entry = self._products.get(product)
        return None if entry is None else entry["made_from"]

    def was_edited(self, product: str) -> bool:
        """Whether a file that is there, and known, has another content than when it was made."""
        path = self._directory / product
        entry = self._products.get(product)
        return entry is not None and path.is_file() and content_of(path) != entry["content"]

    def note(self, product: str, origin: Origin, **more: Any) -> None:
        """Keep what a product, which is there now, was made from, and more that is worth knowing."""
        path = self._directory / product
        self._products[product] = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "genood_version": __version__,
            "made_from": dict(origin),
            "content": content_of(path) if path.is_file() else None,
            **more,
        }
        self._write()

    def forget(self, product: str) -> dict[str, Any] | None:
        """Know no longer what a product was made from; what was known, for `remember`."""
        entry = self._products.pop(product, None)
        if entry is not None:
            self._write()
        return entry

    def remember(self, product: str, entry: dict[str, Any] | None) -> None:
        """Know again what `forget` returned."""
        if entry is not None:
            self._products[product] = entry
            self._write()

    def _write(self) -> None:
        write_json(self._path, {"format_version": FORMAT_VERSION, "products": self._products})


def content_of(path: str | os.PathLike[str]) -> str:
    """What stands for the content of a file in an origin."""
    return f"{_CONTENT}{sha256_of(path)}"


def content_of_text(text: str) -> str:
    """The same for a text."""
    return f"{_CONTENT}{hashlib.sha256(text.encode()).hexdigest()}"


def differences(old: Origin, new: Origin) -> list[str]:
    """What the old of two origins has that the new one has not, in words; empty if they are the same."""
    texts = []
    for name in sorted({*old, *new}):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if _is_content(before) and _is_content(now):
            texts.append(f"other content of {name}")
        elif isinstance(now, list) and any(map(_is_content, [*now, *(before or [])])):
            texts.append(f"other {name}")
        else:
            texts.append(f"{name} {_shown(before)} rather than {_shown(now)}")
    return texts


def _is_content(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_CONTENT)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if _is_content(value):
        return "a file"
    if isinstance(value, list):
        return " and ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return " and ".join(f"{key}={each}" for key, each in value.items()) or "none"
    return str(value)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version: int = record["format_version"]
        products: dict[str, dict[str, Any]] = record["products"]
        if version > FORMAT_VERSION:
            raise InputError(path, f"has format {version}, of a newer genood than {__version__}")
        if all({*entry} >= {"made_from", "content"} for entry in products.values()):
            return products
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"cannot be read ({error}); {_MOVE}") from error
    raise InputError(path, f"is damaged; {_MOVE}")
