"""Errors name the place, and survive the way from one process to another."""

from __future__ import annotations

import pickle

import pytest

from genood.errors import ConfigError, GenoodError, InputError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("a.fna", "is empty"), "a.fna: is empty"),
        (InputError("-", "is empty"), "standard input: is empty"),
        (InputError("a.fq", "no name", record=3), "a.fq, record 3: no name"),
        (InputError("a.fq", "no name", record=3, line=9), "a.fq, record 3, line 9: no name"),
        (ConfigError("alpha must be positive"), "alpha must be positive"),
    ],
)
def test_text_and_pickle(error: GenoodError, text: str) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert str(error) == str(again) == text
    assert type(again) is type(error)
    assert vars(again) == vars(error)
