"""What is in the wheel and the sdist, against the files of the repository.

    python packaging/check_packages.py dist

The wheel is expected to be built from the sdist, as ``python -m build`` does, so that a file that the one
leaves out is missing from the other. Prints what is wrong, a line each, and exits with 1.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("genood/", "data_prep/")
MADE_BY_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}


def tracked_files() -> set[str]:
    """Files of the repository; those below it, but caches, where git does not know."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def faults(dist: Path) -> Iterator[str]:
    """What is missing from the packages, or in them though it should not be."""
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    tracked = tracked_files()
    of_packages = {name for name in tracked if name.startswith(PACKAGES)}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
        same = all(archive.read(name) == (ROOT / name).read_bytes() for name in of_packages & in_wheel)
    with tarfile.open(sdist) as archive_of_sources:
        in_sdist = {name.partition("/")[2] for name in archive_of_sources.getnames()}
    yield from _each("missing from the wheel", of_packages - in_wheel)
    code = {name for name in in_wheel if name.startswith(PACKAGES)}
    beside = {name for name in in_wheel - code if ".dist-info/" not in name}
    yield from _each("in the wheel, not in the repository", code - of_packages)
    yield from _each("in the wheel beside the packages", (n for n in beside if "/share/man/man1/" not in n))
    if not same:
        yield "files in the wheel differ from the repository's"
    pages = {name.rpartition("/")[2] for name in beside}
    yield from _each(
        "no man page in the wheel", {"genood.1", "genood-score.1", "genood-prep-reads.1"} - pages
    )
    left_out = {name for name in tracked - in_sdist if not name.startswith((".ci/", ".git"))}
    yield from _each("missing from the sdist", left_out)


def _each(what: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{what}: {name}" for name in sorted(names))


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "the packages hold what they should")
    sys.exit(1 if found else 0)
