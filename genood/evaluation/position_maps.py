"""What the models say of each position of chosen reads: the genomic form of Figure 3 of Ren et al. 2019."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.errors import ConfigError, InputError
from genood.evaluation.analyses import SIDES, Bools, Floats, ReadScores
from genood.readers.streams import DECOMPRESSION_ERRORS, check_readable, decompressed, opened
from genood.reference.labels import class_of
from genood.sequence import UNKNOWN, Codes, decode, encode

_COLUMNS = ("read_id", "position", "base", "log_p", "background_log_p")
_ROWS_AT_ONCE = 200_000
_UNREADABLE: tuple[type[Exception], ...] = (ValueError, EOFError, OSError, *DECOMPRESSION_ERRORS)


@dataclass(frozen=True, kw_only=True, eq=False)
class PositionMap:
    """R reads of at most L bases, position by position.

    Attributes
    ----------
    names, classes
        Of the reads; R. The figure shows the classes.
    is_ood
        bool, shape (R,).
    codes
        uint8, shape (R, L); `UNKNOWN` beyond the end of a read.
    log_p, background_log_p
        Log-probability of each base under the foreground and the background model, float64, shape
        (R, L), nats; NaN where nothing is scored.

    Raises
    ------
    ConfigError
        The shapes differ, or there are no reads.
    """

    names: Sequence[str]
    classes: Sequence[str]
    is_ood: Bools
    codes: Codes
    log_p: Floats
    background_log_p: Floats

    def __post_init__(self) -> None:
        shapes = {self.codes.shape, self.log_p.shape, self.background_log_p.shape}
        numbers = {len(self.names), len(self.classes), len(self.is_ood), len(self.codes)}
        if len(shapes) > 1 or len(numbers) > 1:
            raise ConfigError("names, codes and log-probabilities must be of the same reads and positions")
        if not self.codes.size:
            raise ConfigError("a map of positions needs reads")

    @classmethod
    def of_tables(cls, in_table: str, ood_table: str, names: Sequence[str]) -> Self:
        """Chosen reads of per-position tables as text, in the order of `names`.

        The class of a read is its name up to the first ``__``.

        Raises
        ------
        InputError
            A table cannot be read.
        ConfigError
            A read is in neither, or several have its name, as mates do.
        """
        rows = pd.concat([_rows_of(in_table, names), _rows_of(ood_table, names)], keys=SIDES, names=["side"])
        by_name = dict(iter(rows.reset_index("side").groupby("read_id", sort=False)))
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ConfigError(f"{missing[0]!r} is a read of neither {in_table} nor {ood_table}")
        again = rows[rows.duplicated(["read_id", "position"])]
        if len(again):
            name = again["read_id"].iloc[0]
            raise ConfigError(f"{name!r} names several reads of {in_table} and {ood_table}; choose others")
        length = int(rows["position"].max())
        codes = np.full((len(names), length), UNKNOWN, dtype=np.uint8)
        log_p, background = (np.full(codes.shape, np.nan) for _ in range(2))
        for number, name in enumerate(names):
            part = by_name[name]
            places = part["position"].to_numpy() - 1
            codes[number, places] = encode("".join(part["base"]))
            log_p[number, places] = part["log_p"]
            background[number, places] = part["background_log_p"]
        is_ood = np.array([by_name[name]["side"].iloc[0] == SIDES[1] for name in names])
        return cls(
            names=names,
            classes=[class_of(name) for name in names],
            is_ood=is_ood,
            codes=codes,
            log_p=log_p,
            background_log_p=background,
        )

    @property
    def llr(self) -> Floats:
        """Log-likelihood ratio of each position, shape (R, L), nats."""
        return self.log_p - self.background_log_p

    def table(self) -> pd.DataFrame:
        """A row for each scored position: side, class, read_id, and what a per-position table has."""
        reads, places = np.nonzero(~np.isnan(self.log_p))
        return pd.DataFrame(
            {
                "side": np.where(self.is_ood[reads], *reversed(SIDES)),
                "class": np.asarray(self.classes, dtype=object)[reads],
                "read_id": np.asarray(self.names, dtype=object)[reads],
                "position": places + 1,
                "base": list(decode(self.codes[reads, places])),
                "log_p": self.log_p[reads, places],
                "background_log_p": self.background_log_p[reads, places],
                "llr": self.llr[reads, places],
            }
        )


def spread_reads(scores: ReadScores, method: str, num_per_side: int = 8) -> npt.NDArray[np.int64]:
    """Rows of reads to show: of each side, some that are evenly spread by score, the highest first."""
    values = scores.score(method)
    found = []
    for side in SIDES:
        rows = np.flatnonzero(scores.of_side(side) & ~np.isnan(values))
        if not len(rows):
            raise ConfigError(f"{method}: no {side} read has a score")
        ranked = rows[np.argsort(-values[rows], kind="stable")]
        # Centres of as many equal parts, so that no extreme stands for a part.
        places = (np.arange(num_per_side) + 0.5) * len(ranked) / num_per_side
        found.append(ranked[np.unique(places.astype(np.int64))])
    return np.concatenate(found)


def _rows_of(path: str, names: Sequence[str]) -> pd.DataFrame:
    """The rows of a per-position table that are of some reads."""
    check_readable([path])
    wanted = set(names)
    parts = []
    try:
        with opened(path) as source, decompressed(path, source) as stream:
            for chunk in pd.read_csv(
                stream,
                sep="\t",
                usecols=list(_COLUMNS),
                dtype={"read_id": str, "base": str, "log_p": np.float64, "background_log_p": np.float64},
                quoting=csv.QUOTE_NONE,
                keep_default_na=False,
                na_values={"log_p": [""], "background_log_p": [""]},
                chunksize=_ROWS_AT_ONCE,
            ):
                parts.append(chunk[chunk["read_id"].isin(wanted)])
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a per-position table ({reason})") from error
    return pd.concat(parts)
