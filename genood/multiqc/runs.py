"""What MultiQC is told of runs: summaries and evaluations as they are found in files, checked."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

CONTENT_ENDING = "_mqc.json"
"""How a file's name ends that MultiQC takes for custom content."""

_ENDINGS = re.compile(r"((^|[._-]+)(json|mqc|summary|genood|evaluation))+$", re.IGNORECASE)
_QUANTILE_LEVELS = ("0.05", "0.25", "0.5", "0.75", "0.95")


class ForeignError(ValueError):
    """A file holds something else than was looked for."""


class OodFraction(NamedTuple):
    """The OOD fraction of a run with its 95 % interval, in percent, and whether the null fits the run."""

    estimate: float
    low: float
    high: float
    null_fits: bool


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is shown of a run; None, or an empty mapping, stands for what a summary does not say.

    Attributes
    ----------
    version, bundle, fingerprint
        Of genood; of the bundle.
    inputs
        Names of files.
    detectors
        The one that calls first.
    level
        Of the calls, in words.
    num_reads
        Of the input.
    calls, pair_calls
        Reads, and pairs, by call.
    skipped
        Reads that have no score, by reason; those called ``na`` among them.
    fraction
        The OOD fraction.
    p_value_counts
        P-values in equal bins from 0 to 1.
    gc
        Share of G and C, in percent.
    median_length
        Of the reads, bases.
    score_quantiles
        OOD scores by detector, and level in words.
    reads_per_second
        How fast it went.
    """

    version: str | None
    bundle: str | None
    fingerprint: str | None
    inputs: Sequence[str]
    detectors: Sequence[str]
    level: str | None
    num_reads: int
    calls: Mapping[str, int]
    pair_calls: Mapping[str, int]
    skipped: Mapping[str, int]
    fraction: OodFraction | None
    p_value_counts: Sequence[int]
    gc: float | None
    median_length: float | None
    score_quantiles: Mapping[str, Mapping[str, float]]
    reads_per_second: float | None

    @classmethod
    def of(cls, summary: Any) -> Self:
        """What a summary says, whoever wrote it.

        Raises
        ------
        ForeignError
            It is none.
        ValueError
            Some of it is of another kind than it should be.
        """
        if not _has(summary, {"tool", "reads", "calls"}) or summary["tool"] != "genood":
            raise ForeignError("no summary of genood score")
        reads, bundle = _mapping(summary["reads"]), _mapping(summary.get("bundle"))
        calls = {call: _count(_mapping(summary["calls"]).get(call)) for call in ("in", "ood", "na")}
        quantiles = _mapping(summary.get("quantiles"))
        return cls(
            version=_text(summary.get("version")),
            bundle=_text(bundle.get("path")),
            fingerprint=_text(bundle.get("fingerprint")),
            inputs=_texts(summary.get("inputs")),
            detectors=_texts(summary.get("detectors")),
            level=_level(summary),
            num_reads=_count(reads.get("in")),
            calls=calls,
            pair_calls={name: _count(number) for name, number in _mapping(summary.get("pairs")).items()},
            skipped={name: _count(number) for name, number in _mapping(reads.get("skipped")).items()},
            fraction=_fraction(summary.get("ood_fraction")),
            p_value_counts=[_count(number) for number in _list(summary.get("p_value_counts"))],
            gc=_percent(summary.get("gc")),
            median_length=_number(_mapping(quantiles.get("length")).get("0.5")),
            score_quantiles=_score_quantiles(quantiles),
            reads_per_second=_number(summary.get("reads_per_second")),
        )

    @property
    def percent_called(self) -> float | None:
        """Reads called ``ood`` of those with a call, in percent; None without any."""
        num_called = self.calls["in"] + self.calls["ood"]
        return 100 * self.calls["ood"] / num_called if num_called else None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a column of scores separates two tables, as `genood evaluate` found it.

    Attributes
    ----------
    column, tables
        What was compared.
    num_in, num_ood
        Reads with a score.
    metrics
        By name, with the limits of the 95 % interval as NAME_low and NAME_high.
    """

    column: str
    tables: tuple[str, str]
    num_in: int
    num_ood: int
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, value: Any) -> Self:
        """What a file says, whoever wrote it.

        Raises
        ------
        ForeignError
            It is none of `genood evaluate`.
        ValueError
            Some of it is of another kind than it should be.
        """
        if not _has(value, {"column", "tables", "reads", "without_score", "metrics"}):
            raise ForeignError("no result of genood evaluate")
        tables, reads = _mapping(value["tables"]), _mapping(value["reads"])
        metrics = {}
        for name, interval in _mapping(value["metrics"]).items():
            for part, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
                number = _number(_mapping(interval).get(part))
                if number is not None:
                    metrics[name + ending] = number
        return cls(
            column=str(value["column"]),
            tables=(str(tables.get("in")), str(tables.get("ood"))),
            num_in=_count(reads.get("in")),
            num_ood=_count(reads.get("ood")),
            metrics=metrics,
        )


def sample_of(file_name: str) -> str:
    """The name of a sample in that of a file: without what says that it is genood's; may be empty."""
    return _ENDINGS.sub("", os.path.basename(file_name)).strip("._-")


def _has(value: Any, names: set[str]) -> bool:
    return isinstance(value, dict) and names <= set(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(value)} where names and values belong")
    return value


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} where a list belongs")
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _texts(value: Any) -> list[str]:
    return [str(item) for item in _list(value)]


def _number(value: Any) -> float | None:
    """A finite number; None for none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_shown(value)} where a number belongs")
    return float(value) if math.isfinite(value) else None


def _count(value: Any) -> int:
    number = _number(value)
    if number is not None and (number < 0 or number != int(number)):
        raise ValueError(f"{_shown(value)} where a count belongs")
    return 0 if number is None else int(number)


def _percent(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else 100 * number


def _shown(value: Any) -> str:
    return repr(value)[:40]


def _fraction(value: Any) -> OodFraction | None:
    parts = _mapping(value)
    estimate, low, high = (_percent(parts.get(name)) for name in ("estimate", "low", "high"))
    if estimate is None or low is None or high is None:
        return None
    return OodFraction(estimate, low, high, parts.get("null_fits") is not False)


def _level(summary: Mapping[str, Any]) -> str | None:
    rate, level = _number(summary.get("fdr")), _number(summary.get("alpha"))
    if rate is not None:
        return f"false discovery rate {rate:g}"
    return None if level is None else f"p ≤ {level:g}"


def _score_quantiles(quantiles: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By detector; those of which some level is not known are left out."""
    found = {}
    for name, levels in quantiles.items():
        prefix, _, detector = name.partition("ood_score_")
        if detector and not prefix:
            known = {level: _number(_mapping(levels).get(level)) for level in _QUANTILE_LEVELS}
            numbers = {level: number for level, number in known.items() if number is not None}
            if len(numbers) == len(known):
                found[detector] = numbers
    return found
