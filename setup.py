"""All but setup.cfg of the build: man pages, made from the help of the commands, as files of the packages."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent


class BuildWithManPages(build):
    """The build, after the man pages are written; where the package is installed they are found by man."""

    def run(self) -> None:
        """Write the pages, have them installed with the rest, and build that."""
        sys.path.insert(0, str(ROOT))
        import data_prep.cli
        import genood.cli
        from genood.cli.man import write_man_pages

        folder = Path(self.build_base, "man")
        folder.mkdir(parents=True, exist_ok=True)
        pages = write_man_pages(genood.cli.cli, "genood", folder)
        pages += write_man_pages(data_prep.cli.cli, "genood-prep", folder)
        self.distribution.data_files = [("share/man/man1", [str(page) for page in pages])]
        super().run()


setup(cmdclass={"build": BuildWithManPages})
