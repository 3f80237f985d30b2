"""What other tools read of Kraken 2: its report, and its output of one line a fragment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from genood.engine import ScoredReads
from genood.intake.pairs import fragment_of, starts_of_pairs
from genood.writers.streams import open_output

_ROOT, _NONE = 1, 0
"""Taxonomy identifiers of all of life, and of what is unclassified."""
_AMBIGUOUS = "A"


class KrakenWriter:
    """Writes a line for each read, or for both mates of a pair together, as Kraken 2 does.

    What is called ``in`` is classified as root, taxon 1, as genood knows no taxa; ``ood`` and ``na`` are
    unclassified, taxon 0. Pairs go by the call of the pair. In place of numbers of k-mers stand numbers of
    bases: of each mate all that are scored count for its own call, the others are ambiguous.

    Parameters
    ----------
    stream
        Where to.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, scored: ScoredReads) -> None:
        """Append lines."""
        lines = []
        for call, reads in _fragments(scored):
            name = scored.names[reads[0]]
            status, taxon = ("C", _ROOT) if call == "in" else ("U", _NONE)
            lengths = "|".join(str(scored.lengths[read]) for read in reads)
            bases = " |:| ".join(_bases(scored, read) for read in reads)
            if len(reads) > 1:
                name = fragment_of(name)
            lines.append(f"{status}\t{name}\t{taxon}\t{lengths}\t{bases}\n")
        self._stream.write("".join(lines).encode())


class KrakenReport:
    """Counts fragments as `KrakenWriter` classifies them."""

    def __init__(self) -> None:
        self._num_in = 0
        self._num_others = 0

    def write(self, scored: ScoredReads) -> None:
        """Count a window of reads."""
        calls = [call for call, _ in _fragments(scored)]
        self._num_in += calls.count("in")
        self._num_others += len(calls) - calls.count("in")

    def lines(self) -> str:
        """Percentage, fragments of the clade, of the taxon itself, rank, taxon and name; of two taxa."""
        total = max(self._num_in + self._num_others, 1)
        rows = [(self._num_others, "U", _NONE, "unclassified"), (self._num_in, "R", _ROOT, "root")]
        return "".join(
            f"{100 * number / total:6.2f}\t{number}\t{number}\t{rank}\t{taxon}\t{name}\n"
            for number, rank, taxon, name in rows
        )


@contextmanager
def kraken_report(target: str) -> Iterator[KrakenReport]:
    """A report that is written when the block ends well."""
    with open_output(target) as stream:
        report = KrakenReport()
        yield report
        stream.write(report.lines().encode())


def _fragments(scored: ScoredReads) -> Iterator[tuple[str, list[int]]]:
    """The call of each fragment, and the reads that are of it."""
    if scored.pair_calls is None:
        for read, call in enumerate(scored.calls):
            yield call, [read]
        return
    starts = set(starts_of_pairs(scored.names, scored.mates).tolist())
    for read, call in enumerate(scored.pair_calls):
        if read - 1 not in starts:
            yield call, [read, read + 1] if read in starts else [read]


def _bases(scored: ScoredReads, read: int) -> str:
    num_scored = int(scored.num_scored[read])
    num_others = int(scored.lengths[read]) - num_scored
    taxon = _ROOT if scored.calls[read] == "in" else _NONE
    counts = [(taxon, num_scored), (_AMBIGUOUS, num_others)]
    return " ".join(f"{name}:{number}" for name, number in counts if number)
