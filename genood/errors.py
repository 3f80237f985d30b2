"""The errors that a user sees as one line, without a traceback."""

from __future__ import annotations

import os
from functools import partial
from typing import Any


class GenoodError(Exception):
    """Anything that is wrong with the input, the options or the machine rather than with genood.

    Its text is one line that says what is wrong and, where that helps, what to do.
    """


class InputError(GenoodError):
    """A file, or a record in it, that cannot be used.

    Parameters
    ----------
    path
        The file, as the user named it; ``-`` is standard input.
    problem
        What is wrong and what to do about it.
    record
        Number of the record in the file, from 1.
    line
        Number of the line in the file, from 1.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        problem: str,
        *,
        record: int | None = None,
        line: int | None = None,
    ) -> None:
        self.path = "standard input" if os.fspath(path) == "-" else os.fspath(path)
        self.problem = problem
        self.record = record
        self.line = line
        where = [self.path]
        if record is not None:
            where.append(f"record {record}")
        if line is not None:
            where.append(f"line {line}")
        super().__init__(f"{', '.join(where)}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it is made from: by itself, an error is made again from its text alone."""
        return partial(InputError, record=self.record, line=self.line), (self.path, self.problem)


class BundleError(GenoodError):
    """A bundle directory that is missing, damaged, of a newer format, or in the way."""


class ConfigError(GenoodError):
    """A configuration value, or a combination of them, that makes no sense."""


class TrainingError(GenoodError):
    """Training that cannot start, go on or be resumed."""
