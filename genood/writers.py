"""Score tables, per-position tables and the summary of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pysam

from genood.calibration import FRACTION_LAMBDAS, ood_fraction
from genood.engine import CALLS, Positions, ScoredReads
from genood.errors import InputError
from genood.files import atomic_path, writing_to
from genood.readers import STDIN
from genood.sequence import decode

SCORE_COLUMNS = (
    "read_id",
    "mate",
    "length",
    "num_scored",
    "gc",
    "log_likelihood",
    "background_log_likelihood",
    "llr",
    "llr_per_base",
    "ood_score",
    "p_value",
    "call",
)
PAIR_COLUMN = "pair_p_value"
POSITION_COLUMNS = ("read_id", "position", "base", "log_p", "background_log_p", "llr")

STDOUT = STDIN
_STDOUT_NAME = "standard output"
_QUANTILE_LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_QUANTILE_SAMPLE = 100_000
_POSITIONS_AT_ONCE = 65_536


@contextmanager
def open_output(target: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary stream for output: ``-`` is standard output, a name ending in ``.gz`` gives BGZF.

    A file appears under its name only when the block ends well.
    """
    if os.fspath(target) == STDOUT:
        if sys.stdout is None:
            raise InputError(_STDOUT_NAME, "is closed; name a file")
        stream = _Output(_STDOUT_NAME, sys.stdout.buffer)
        yield cast(IO[bytes], stream)
        stream.flush()
        return
    with atomic_path(target) as path, closing(_output_file(target, path)) as stream:
        yield cast(IO[bytes], stream)


def _output_file(target: str | os.PathLike[str], path: Path) -> _Output:
    """A stream to `path`, which will be `target`."""
    with writing_to(target):
        if os.fspath(target).endswith(".gz"):
            return _Output(target, pysam.BGZFile(os.fspath(path), "wb"))  # type: ignore[call-arg]
        return _Output(target, open(path, "wb"))


class _Output:
    """A stream to write to, whose errors name `target`, as the user knows it."""

    def __init__(self, target: str | os.PathLike[str], stream: Any) -> None:
        self._target = target
        self._stream = stream

    def write(self, data: bytes) -> None:
        with self._named_errors():
            self._stream.write(data)

    def flush(self) -> None:
        with self._named_errors():
            self._stream.flush()

    def close(self) -> None:
        with self._named_errors():
            self._stream.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        verbosity = pysam.set_verbosity(0)  # else htslib prints errors too
        try:
            with writing_to(self._target):
                yield
        except InputError as error:
            if isinstance(self._stream, pysam.BGZFile):  # htslib does not say why
                raise InputError(self._target, "cannot be written (is the disk full?)") from error
            raise
        finally:
            pysam.set_verbosity(verbosity)


class ScoreTableWriter:
    """Writes the score table, one row a read.

    Parameters
    ----------
    stream
        Where to.
    detectors
        Names in the order of the engine: the first one's score is ``ood_score``; each further one
        adds a column ``ood_score_NAME`` at the end.
    paired
        Whether ``pair_p_value`` is the last column.
    """

    def __init__(self, stream: IO[bytes], detectors: Sequence[str], *, paired: bool = False) -> None:
        self._stream = stream
        self._detectors = tuple(detectors)
        extra = [f"ood_score_{name}" for name in self._detectors[1:]]
        self._paired = paired
        self._stream.write(_row([*SCORE_COLUMNS, *extra, *([PAIR_COLUMN] if paired else [])]))

    def write(self, scored: ScoredReads) -> None:
        """Append rows."""
        first, *others = (scored.ood_scores[name] for name in self._detectors)
        columns: list[Sequence[str]] = [
            scored.names,
            _few_numbers(scored.mates),
            _few_numbers(scored.lengths),
            _few_numbers(scored.num_scored),
            _few_numbers(scored.gc),
            _numbers(scored.log_likelihood),
            _numbers(scored.background_log_likelihood),
            _numbers(scored.llr),
            _numbers(scored.llr_per_base),
            _numbers(first),
            _numbers(scored.p_values),
            scored.calls,
            *map(_numbers, others),
        ]
        if self._paired:
            assert scored.pair_p_values is not None
            columns.append(_numbers(scored.pair_p_values))
        self._stream.write(_rows(columns))


class PositionTableWriter:
    """Writes the per-position table, one row a base; unscored bases have empty values."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._stream.write(_row(POSITION_COLUMNS))

    def write(self, scored: ScoredReads) -> None:
        """Append rows; the engine must have kept positions."""
        assert scored.positions is not None
        for name, read in zip(scored.names, scored.positions, strict=True):
            for start in range(0, len(read.codes), _POSITIONS_AT_ONCE):
                self._write_part(name, read, start, start + _POSITIONS_AT_ONCE)

    def _write_part(self, name: str, read: Positions, start: int, stop: int) -> None:
        scored = read.scored[start:stop]
        log_p = np.where(scored, read.log_p[start:stop].astype(np.float64), np.nan)
        background = np.where(scored, read.background_log_p[start:stop].astype(np.float64), np.nan)
        columns = [
            [name] * len(scored),
            list(map(str, range(start + 1, start + len(scored) + 1))),
            decode(read.codes[start:stop]),
            _numbers(log_p),
            _numbers(background),
            _numbers(log_p - background),
        ]
        self._stream.write(_rows(columns))


class Summary:
    """Counts, fractions and quantiles of a run, in constant memory.

    Parameters
    ----------
    seed
        Of the sample behind the quantiles of runs beyond 100,000 reads.
    """

    def __init__(self, seed: int = 0) -> None:
        self._num_reads = 0
        self._num_bases = 0
        self._num_scored_bases = 0
        self._strong_bases = 0.0
        self._num_p_values = 0
        self._num_above = dict.fromkeys(FRACTION_LAMBDAS, 0)
        self._inverse_null_reads = 0.0
        self._calls = dict.fromkeys(CALLS, 0)
        self._quantiles: dict[str, _QuantileSketch] = {}
        self._seed = seed

    def add(self, scored: ScoredReads) -> None:
        """Count a window of reads."""
        self._num_reads += len(scored.names)
        self._num_bases += int(scored.lengths.sum())
        self._num_scored_bases += int(scored.num_scored.sum())
        self._strong_bases += float(np.nansum(scored.gc * scored.num_scored))
        for call in CALLS:
            self._calls[call] += scored.calls.count(call)
        p_values = scored.p_values[~np.isnan(scored.p_values)]
        self._num_p_values += len(p_values)
        for level in FRACTION_LAMBDAS:
            self._num_above[level] += int((p_values > level).sum())
        self._inverse_null_reads += float((1.0 / scored.null_reads[~np.isnan(scored.p_values)]).sum())
        columns = {"length": scored.lengths.astype(np.float64), "llr_per_base": scored.llr_per_base}
        columns |= {f"ood_score_{name}": scores for name, scores in scored.ood_scores.items()}
        for name, values in columns.items():
            sketch = self._quantiles.setdefault(name, _QuantileSketch(self._seed))
            sketch.add(values[~np.isnan(values)])

    def to_json(
        self, *, run: Mapping[str, Any], seconds: float, skipped: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """The summary as JSON types.

        Parameters
        ----------
        run
            What ran on what: tool, version, bundle, inputs, options. Comes first.
        seconds
            Wall time.
        skipped
            Reads of the input that were not handed to the model, by reason.
        """
        skipped = skipped or {}
        fraction = None
        if self._num_p_values:
            null_reads = self._num_p_values / self._inverse_null_reads
            at_half, at_end = self._num_above.values()
            fraction = ood_fraction(self._num_p_values, (at_half, at_end), null_reads)
        return {
            **run,
            "reads": {
                "in": self._num_reads + sum(skipped.values()),
                "scored": self._num_reads - self._calls["na"],
                "skipped": {"nothing to score": self._calls["na"], **skipped},
            },
            "bases": {"in": self._num_bases, "scored": self._num_scored_bases},
            "calls": dict(self._calls),
            "ood_fraction": None if fraction is None else fraction._asdict(),
            "gc": self._strong_bases / self._num_scored_bases if self._num_scored_bases else None,
            "quantiles": {name: sketch.to_json() for name, sketch in self._quantiles.items()},
            "wall_seconds": seconds,
            "reads_per_second": self._num_reads / seconds if seconds else None,
            "bases_per_second": self._num_bases / seconds if seconds else None,
        }


class _QuantileSketch:
    """Quantiles from a uniform sample without replacement: exact until the sample is full."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._values = np.empty(0)
        self._keys = np.empty(0)

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take values in; those with the smallest random keys stay."""
        self._values = np.concatenate([self._values, values])
        self._keys = np.concatenate([self._keys, self._generator.random(len(values))])
        if len(self._values) > _QUANTILE_SAMPLE:
            kept = np.argpartition(self._keys, _QUANTILE_SAMPLE)[:_QUANTILE_SAMPLE]
            self._values, self._keys = self._values[kept], self._keys[kept]

    def to_json(self) -> dict[str, float] | None:
        if not len(self._values):
            return None
        quantiles = np.quantile(self._values, _QUANTILE_LEVELS)
        return {f"{level:g}": float(q) for level, q in zip(_QUANTILE_LEVELS, quantiles, strict=True)}


def _numbers(values: npt.NDArray[np.float64], style: str = "%.6g") -> list[str]:
    """Six significant digits; NaN becomes an empty cell."""
    # Adding 0 makes a zero of -0; all in one string is faster than one by one.
    lines = f"{style}\n" * len(values) % tuple((values + 0.0).tolist())
    return lines.replace("nan", "").splitlines()


def _few_numbers(values: npt.ArrayLike) -> list[str]:
    """As `_numbers`, of integers as they are; fast where few values differ."""
    distinct, places = np.unique(values, return_inverse=True)
    cells = _numbers(distinct, "%d" if distinct.dtype.kind == "i" else "%.6g")
    return [cells[place] for place in places.tolist()]


def _row(cells: Sequence[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode()


def _rows(columns: Sequence[Sequence[str]]) -> bytes:
    return "".join(["\t".join(cells) + "\n" for cells in zip(*columns, strict=True)]).encode()
