"""What a report is told of a run and its bundle beside the scores: summary, null, model card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genood.bundles.files import CALIBRATION_FILE, CARD_FILE, METADATA_FILE, read_format, read_text
from genood.calibration import Calibration, Fraction, NullDistribution
from genood.detectors import DEFAULT_DETECTOR
from genood.ensemble import AnyBundle
from genood.errors import BundleError, InputError
from genood.files import is_standard_output, sha256_of
from genood.readers.streams import check_readable, decompressed, opened
from genood.report.chunks import UNREADABLE
from genood.writers.streams import without_compression

TABLE_ENDINGS = (".tsv", ".parquet", ".txt")
_NUMBER = (int, float)
_TYPES: Mapping[str, Any] = {
    "version": str,
    "bundle": dict,
    "inputs": list,
    "detectors": list,
    "options": dict,
    "device": str,
    "reads": dict,
    "calls": dict,
    "wall_seconds": _NUMBER,
}
"""What a summary holds at least, of what reports use."""


@dataclass(frozen=True, kw_only=True)
class BundleFacts:
    """A bundle but for its weights.

    Attributes
    ----------
    path, fingerprint
        Where it is; the sha256 of its ``genood.json``.
    metadata, card
        Content of ``genood.json`` and of ``MODEL_CARD.md``.
    nulls
        Null distributions by detector.
    source
        What reads the nulls are of.
    """

    path: str
    fingerprint: str
    metadata: Mapping[str, Any]
    card: str
    nulls: Mapping[str, NullDistribution]
    source: str

    @classmethod
    def read(cls, directory: str) -> BundleFacts:
        """Read what reports show of a bundle; its weights are left alone, and may be missing.

        Raises
        ------
        BundleError
            No bundle, a newer format, or a file that differs from its sha256.
        """
        root = Path(directory)
        metadata = read_format(root)
        texts = {name: checked_text(root, name, metadata) for name in (CALIBRATION_FILE, CARD_FILE)}
        try:
            found = json.loads(texts[CALIBRATION_FILE])
        except ValueError as error:
            raise BundleError(f"{root / CALIBRATION_FILE}: cannot be read as JSON ({error})") from error
        fingerprint = sha256_of(root / METADATA_FILE)
        return cls._of(directory, fingerprint, metadata, texts[CARD_FILE], Calibration.from_json(found))

    @classmethod
    def of(cls, directory: str, bundle: AnyBundle) -> BundleFacts:
        """What reports show of a bundle that has been loaded."""
        calibration = Calibration.from_json(bundle.calibration)
        return cls._of(directory, bundle.fingerprint, bundle.metadata, bundle.card, calibration)

    @classmethod
    def _of(
        cls,
        directory: str,
        fingerprint: str,
        metadata: Mapping[str, Any],
        card: str,
        calibration: Calibration,
    ) -> BundleFacts:
        return cls(
            path=os.fspath(directory),
            fingerprint=fingerprint,
            metadata=metadata,
            card=card,
            nulls=calibration.nulls,
            source=calibration.source,
        )


def checked_text(root: Path, name: str, metadata: Mapping[str, Any]) -> str:
    """The text of a bundle's file; a BundleError if it is not the one that the bundle was made with."""
    path = root / name
    if not path.is_file():
        raise BundleError(f"{path}: is missing; copy the bundle again")
    if sha256_of(path) != metadata["files"][name]:
        raise BundleError(f"{path}: differs from the sha256 in {METADATA_FILE}; copy the bundle again")
    return read_text(path)


def read_summary(path: str) -> dict[str, Any]:
    """The summary of a run, as `genood score --summary` writes it.

    Raises
    ------
    InputError
        It cannot be read, or is none.
    """
    check_readable([path])
    try:
        with opened(path) as source, decompressed(path, source) as stream:
            summary = json.load(stream)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a summary ({reason})") from error
    return checked_summary(path, summary)


def checked_summary(path: str, summary: Any) -> dict[str, Any]:
    """A summary with all that reports use, of the types that they expect."""

    def check(good: bool, what: str) -> None:
        if not good:
            raise InputError(path, f"is no summary of genood score: {what}")

    check(isinstance(summary, dict) and summary.get("tool") == "genood", "it is not of this tool")
    for name, kind in _TYPES.items():
        check(isinstance(summary.get(name), kind), f"it has no {name!r} of the right type")
    skipped = summary["reads"].get("skipped")
    check(isinstance(skipped, dict), "it does not say what was skipped")
    counts = [*summary["calls"].values(), *skipped.values()]
    check(all(isinstance(count, int) for count in counts), "a count is no whole number")
    detectors = summary["detectors"]
    check(bool(detectors) and all(isinstance(name, str) for name in detectors), "it names no detector")
    fraction = summary.get("ood_fraction")
    if fraction is not None:
        check(
            isinstance(fraction, dict) and set(fraction) == set(Fraction._fields), "its OOD fraction is none"
        )
        numbers = [fraction[name] for name in ("estimate", "low", "high")]
        good = all(isinstance(number, _NUMBER) and 0 <= number <= 1 for number in numbers)
        check(good, "its OOD fraction is no number from 0 to 1")
    return dict(summary)


def fraction_of(summary: Mapping[str, Any]) -> Fraction | None:
    """The OOD fraction that a summary states."""
    fraction = summary.get("ood_fraction")
    return None if fraction is None else Fraction(**fraction)


def summary_beside(table: str) -> str | None:
    """The summary beside a score table: ``run.summary.json`` of ``run.tsv.gz``; None if there is none."""
    path = name_of(table) + ".summary.json"
    return path if os.path.isfile(path) else None


def name_of(table: str) -> str:
    """The name of a score table without the endings that say what it is."""
    name = without_compression(table)
    return next((name[: -len(end)] for end in TABLE_ENDINGS if name.lower().endswith(end)), name)


def names_of(tables: Sequence[str]) -> list[str]:
    """A name for each run: the file's without its endings, or its path where names are not distinct."""
    short = [os.path.basename(name_of(table)) or table for table in tables]
    return short if len(set(short)) == len(short) else list(tables)


def name_of_output(table: str) -> str:
    """The name of a run whose score table is written to a file or to standard output."""
    return "standard output" if is_standard_output(table) else names_of([table])[0]


def detector_of(summary: Mapping[str, Any] | None, bundle: BundleFacts | None) -> str:
    """The detector whose scores and p-values a run has: without a summary the one that scores by default."""
    if summary is not None:
        return str(summary["detectors"][0])
    if bundle is None or DEFAULT_DETECTOR in bundle.nulls:
        return DEFAULT_DETECTOR
    return next(iter(bundle.nulls), DEFAULT_DETECTOR)
