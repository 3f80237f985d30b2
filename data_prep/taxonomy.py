"""Genera by lineage, from a dump of NCBI's taxonomy."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from contextlib import ExitStack
from functools import cache
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Self

from data_prep.names import Naming, genus_of_name
from genood.errors import InputError
from genood.readers import check_readable

if TYPE_CHECKING:
    from multitax import NcbiTx

_NEEDED = ("nodes.dmp", "names.dmp")
_MERGED = "merged.dmp"
# NCBI renamed superkingdom to domain in 2025; a dump has either.
_RANKS = ["superkingdom", "domain", "genus"]
_PROKARYOTES = {"Bacteria", "Archaea"}


class Taxonomy:
    """What genus a taxid belongs to.

    Parameters
    ----------
    tree
        The taxonomy, as multitax holds it.
    """

    def __init__(self, tree: NcbiTx) -> None:
        self._tree = tree
        self.genus_of = cache(self._genus_of)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a taxdump.

        Parameters
        ----------
        path
            A directory with ``nodes.dmp``, ``names.dmp`` and, for taxids that were merged into others,
            ``merged.dmp``; or a tar file of them, such as NCBI's ``taxdump.tar.gz``.

        Raises
        ------
        InputError
            It is none, or damaged.
        """
        with ExitStack() as stack:
            directory = Path(path)
            if not directory.is_dir():
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genood-taxdump-")))
                _unpack(path, directory)
            missing = [name for name in _NEEDED if not (directory / name).is_file()]
            if missing:
                raise InputError(path, f"is no taxdump: it holds no {' and no '.join(missing)}")
            from multitax import NcbiTx

            try:
                return cls(NcbiTx(files=taxdump_files(directory)))
            except (ValueError, OSError) as error:
                reason = " ".join(str(error).split())
                raise InputError(path, f"is no taxdump, or damaged ({reason[:200]})") from error

    def _genus_of(self, taxid: str) -> Naming:
        """The genus in whose lineage a taxid is, if that is one of Bacteria or Archaea.

        A genus whose name is provisional (*Candidatus ...*) or ambiguous is refused as `genus_of_name` does.
        """
        node = self._tree.latest(taxid)
        if node is not None and self._in_circle(node):  # multitax would follow it for ever
            return Naming("", "lineage in the taxdump is a circle")
        lineage = self._tree.lineage(node, ranks=_RANKS) if node is not None else []
        if not lineage:
            return Naming("", "taxid is not in the taxdump")
        superkingdom, domain, genus = (node and self._tree.name(node) for node in lineage)
        if (superkingdom or domain) not in _PROKARYOTES:
            return Naming("", "not of Bacteria or Archaea")
        return genus_of_name(genus) if genus else Naming("", "no genus in the lineage")

    def _in_circle(self, node: str | None) -> bool:
        passed = set()
        while node is not None and node != self._tree.root_node:
            if node in passed:
                return True
            passed.add(node)
            node = self._tree.parent(node)
        return False


def taxdump_files(path: str | os.PathLike[str]) -> list[str]:
    """The files that `Taxonomy.load` reads: the one that is named, or those in the directory that is."""
    if not os.path.isdir(path):
        return [os.fspath(path)]
    files = (os.path.join(path, name) for name in (*_NEEDED, _MERGED))
    return [file for file in files if os.path.isfile(file)]


def _unpack(path: str | os.PathLike[str], directory: Path) -> None:
    """Copy the files of a taxdump out of a tar file, whatever directory they are in there."""
    check_readable([os.fspath(path)])
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = os.path.basename(member.name)
                content = archive.extractfile(member) if name in (*_NEEDED, _MERGED) else None
                if content is not None:
                    with content, open(directory / name, "wb") as stream:
                        shutil.copyfileobj(content, stream)
    except (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(path, f"is neither a directory nor a tar file, or damaged ({reason})") from error
