"""The classes of the published benchmark, and which split each belongs into.

A class has a number: 0–9 are in-distribution, 10–69 OOD classes of the validation split, 70–129 OOD
classes of the test split.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from data_prep.class_lists import PAPER, read_classes
from data_prep.names import Synonyms
from genood.dataset import side_of
from genood.errors import InputError
from genood.readers import check_readable

RELEASED_LABELS: Mapping[int, str] = {
    number: listed.name for number, listed in enumerate(read_classes(PAPER, Synonyms()))
}
"""Class names by number, as in the ``label_dict.json`` of the release: the paper's list is in its order."""

_NUMBERS = {"in": range(10), "val_ood": range(10, 70), "test_ood": range(70, 130)}


def numbers_of(split: str) -> range:
    """The numbers of the classes that belong into a split of a dataset."""
    return _NUMBERS["in" if side_of(split) == "in" else split]


def classes_of(split: str, labels: Mapping[int, str]) -> dict[int, str]:
    """Those of the class names by number that belong into a split."""
    return {number: labels[number] for number in numbers_of(split) if number in labels}


def read_labels(path: str | os.PathLike[str]) -> dict[int, str]:
    """Class names by number, from the benchmark's ``label_dict.json``.

    Raises
    ------
    InputError
        The file is missing or maps anything but names to different numbers from 0 to 129.
    """
    check_readable([os.fspath(path)])
    with open(path, "rb") as stream:
        return parse_labels(stream.read(), path)


def parse_labels(text: bytes, path: str | os.PathLike[str]) -> dict[int, str]:
    """As `read_labels`, of the file's content; `path` is what errors call it."""
    numbers = parse_numbers(text, path)
    labels = {number: name for name, number in numbers.items()}
    if len(labels) < len(numbers):
        raise InputError(path, "gives two classes the same number")
    unknown = sorted(set(labels) - set(RELEASED_LABELS))
    if unknown:
        raise InputError(path, f"numbers a class {unknown[0]}; the benchmark's are 0 to 129")
    return labels


def parse_numbers(text: bytes, path: str | os.PathLike[str]) -> dict[str, int]:
    """A JSON object of whole numbers by class name: labels, or how many reads a class has.

    Raises
    ------
    InputError
        The text is anything else.
    """
    try:
        numbers = json.loads(text)
    except ValueError as error:
        raise InputError(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
        raise InputError(path, "does not map class names to whole numbers")
    return numbers
