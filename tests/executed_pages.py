"""Pages of the documentation, executed: what they say to type is typed, what they print has to be printed."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from sybil import Document, Example, Region
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PROMPT = "$ "
FILE_NAME = re.compile(r"# (\w+\.py)\n")


def run_page(page: Path) -> int:
    """Run all blocks of a page in their order, in the working directory; returns how many there were.

    Blocks of ``console`` are commands after a ``$`` with what they print, on either stream. Of ``python``,
    one that begins with a comment that names a file becomes this file; those with ``>>>`` are compared,
    others executed.
    """
    examples = list(
        Document.parse(str(page), CodeBlockParser("console", run_console), python_blocks).examples()
    )
    for example in examples:
        example.evaluate()
    return len(examples)


def run_console(example: Example) -> str | None:
    """Run the commands of a block; the first that prints something else, or fails, is told."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for part in str(example.parsed).removeprefix(PROMPT).split(f"\n{PROMPT}"):
        command, _, expected = part.partition("\n")
        result = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            env={**os.environ, "PATH": path},
        )
        checker = doctest.OutputChecker()
        if result.returncode or not checker.check_output(expected.rstrip("\n") + "\n", result.stdout, FLAGS):
            return f"{command}\nexpected:\n{expected}\ngot, with status {result.returncode}:\n{result.stdout}"
    return None


def python_blocks(document: Document) -> Iterable[Region]:
    """Blocks of Python; those that begin with a comment that names a file are for `write_file`."""
    for region in PythonCodeBlockParser(doctest_optionflags=FLAGS)(document):
        if FILE_NAME.match(str(region.parsed)):
            region.evaluator = write_file
        yield region


def write_file(example: Example) -> None:
    """Write such a block to its file."""
    code = str(example.parsed)
    named = FILE_NAME.match(code)
    assert named is not None
    Path(named[1]).write_text(code)
