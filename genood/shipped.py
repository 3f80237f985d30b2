"""The bundle that comes with genood: what `genood score` uses where none is named.

The command line asks where it is before it has anything to do, so that nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path

from genood.errors import BundleError

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "nine-genera"
"""Its directory."""


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
    from genood.bundle_files import read_format

    check_default()
    classes = ", ".join(read_format(DEFAULT_BUNDLE)["classes"])
    return (
        f"no bundle named: using {DEFAULT_BUNDLE.name}, which comes with genood and knows {classes}; reads "
        "of anything else are out-of-distribution; genood train makes a bundle of your own reference"
    )
