"""What options may be, and those whose values are wrong or do not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from genood.errors import ConfigError

READ_LENGTH = click.IntRange(1, 10_000_000)
"""Bases; more than any read has, and few enough for a number of each length."""
THREADS = click.IntRange(1, 1024)
"""As those of genood."""


@contextmanager
def usage_errors(*fields: str, **others: str) -> Iterator[None]:
    """Make a ConfigError an error of usage, whose text names options rather than fields.

    Parameters
    ----------
    fields
        Of a configuration: those that are called as their options are, with ``_`` for ``-``.
    others
        The option by field, where it is called something else.
    """
    options = {field: f"--{field.replace('_', '-')}" for field in fields} | others
    try:
        yield
    except ConfigError as error:
        text = re.sub(r"\w+", lambda word: options.get(word[0], word[0]), str(error))
        raise click.UsageError(text) from error
