"""The bundle that comes with genood: what `genood score` uses where none is named.

The command line asks where it is before it has anything to do, so that nothing heavy is imported here.
"""

from __future__ import annotations

import os
from pathlib import Path

from genood.errors import BundleError

DEFAULT_BUNDLE = Path(__file__).parent / "nine-genera"
"""Its directory."""


_ABOUT = (
    "comes with genood and knows nine genera of bacteria, see genood info; reads of anything else are "
    "out-of-distribution"
)


def named(bundle: str | os.PathLike[str], fingerprint: str) -> dict[str, str]:
    """How a summary names a bundle; of the one that comes with genood, with what it is for."""
    name = {"path": os.fspath(bundle), "fingerprint": fingerprint}
    return name | ({"about": _ABOUT} if Path(bundle) == DEFAULT_BUNDLE else {})


def check_default() -> None:
    """Raise BundleError if it is not there."""
    if not (DEFAULT_BUNDLE / "genood.json").is_file():
        raise BundleError(
            f"{DEFAULT_BUNDLE}: the bundle that comes with genood is not there; install genood again, or "
            "name a bundle of your own"
        )


def about_default() -> str:
    """What it is and what it is for, in a line.

    Raises
    ------
    BundleError
        It is not there, or not whole.
    """
    from genood.bundles.files import read_format

    check_default()
    classes = ", ".join(read_format(DEFAULT_BUNDLE)["classes"])
    return (
        f"no bundle named: using {DEFAULT_BUNDLE.name}, which comes with genood and knows {classes}; reads "
        "of anything else are out-of-distribution; genood train makes a bundle of your own reference"
    )
