"""Mates of one fragment: brought together, and judged together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from genood.errors import InputError
from genood.readers import ReadBlock

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Reader = Callable[[str], Generator[ReadBlock, None, None]]
"""Gives the reads of one file."""


def fragment_of(name: str) -> str:
    """A read's name without the /1 or /2 that tells mates apart."""
    return name[:-2] if name.endswith(("/1", "/2")) else name


def starts_of_pairs(names: Sequence[str], mates: Sequence[int]) -> npt.NDArray[np.int64]:
    """Indices of the reads that their mate follows: mates 1, and of alignments maybe mates 2.

    A mate 1 goes with the mate 2 after it rather than with one before.
    """
    numbers = np.array(mates, dtype=np.int64)
    in_order = (numbers[:-1] == 1) & (numbers[1:] == 2)
    for i in np.flatnonzero(in_order).tolist():
        in_order[i] = _are_mates(names[i], names[i + 1])
    is_taken = np.zeros(len(numbers), dtype=np.bool_)
    is_taken[:-1] |= in_order
    is_taken[1:] |= in_order
    turned = (numbers[:-1] == 2) & (numbers[1:] == 1) & ~is_taken[:-1] & ~is_taken[1:]
    for i in np.flatnonzero(turned).tolist():
        turned[i] = _are_mates(names[i + 1], names[i])
    return np.flatnonzero(in_order | turned)


def cuts_pair(names: Sequence[str], mates: Sequence[int], place: int) -> bool:
    """Whether the reads before and at `place` are a pair; of no reads that end in the middle of one."""
    if not 0 < place < len(mates) or mates[place - 1] == 0 or mates[place] == 0:
        return False
    first = max(place - 2, 0)
    around = slice(first, place + 2)
    return place - 1 - first in starts_of_pairs(names[around], mates[around]).tolist()


def num_open(names: Sequence[str], mates: Sequence[int]) -> int:
    """Reads at the end, two at most, that may be a pair with what comes next, or are one if nothing does."""
    if not mates or mates[-1] == 0:
        return 0
    end = slice(-3, None)
    starts = starts_of_pairs(names[end], mates[end]).tolist()
    if len(mates[end]) - 2 not in starts:
        return 1
    return 2 if mates[-1] == 1 else 0


def paired_blocks(first_path: str, second_path: str, read: Reader) -> Iterator[ReadBlock]:
    """The reads of two files, mate 2 after its mate 1; no block cuts a pair.

    Raises
    ------
    InputError
        Names differ by more than /1 and /2, a file has more reads than the other, or holds pairs itself; or
        both hold mates 1 by their names, or mates 2.
    """
    num_pairs = 0
    with closing(read(first_path)) as firsts, closing(read(second_path)) as seconds:
        first, second = _next(firsts), _next(seconds)
        if first is not None and second is not None:
            _check_sides(first_path, first.names, second_path, second.names)
        while first is not None and second is not None:
            number = min(len(first.names), len(second.names))
            _check_unflagged(first_path, first)
            _check_unflagged(second_path, second)
            for i in range(number):
                if not _are_mates(first.names[i], second.names[i]):
                    problem = _not_mates(first.names[i], second.names[i], f"in {first_path}")
                    raise InputError(second_path, problem, record=num_pairs + i + 1)
            yield _interleaved(first.part(0, number), second.part(0, number))
            num_pairs += number
            first = _after(number, first) or _next(firsts)
            second = _after(number, second) or _next(seconds)
    if first is not None or second is not None:
        longer, shorter = (first_path, second_path) if first is not None else (second_path, first_path)
        raise InputError(
            shorter, f"ends after {num_pairs} reads, while {longer} goes on; mates must be in the same order"
        )


def interleaved_blocks(path: str, read: Reader, *, warns: bool = True) -> Iterator[ReadBlock]:
    """The reads of a file in which mate 2 follows mate 1; no block cuts a pair.

    Alignments say which mate they are, and may have mate 2 first; a read without its mate beside it is left
    alone, and warned of.

    Raises
    ------
    InputError
        The reads of a file without flags do not come in pairs of one name.
    """
    rest: ReadBlock | None = None
    has_flags = False
    num_before = num_alone = 0
    with closing(read(path)) as blocks:
        for block in blocks:
            if not block.names and rest is None:
                yield block  # of other records
                continue
            has_flags = block.from_alignments
            if rest is not None:
                block = ReadBlock.joined([rest, block])
            number = len(block.names)
            whole = number - (num_open(block.names, block.mates) if has_flags else number % 2)
            rest = block.part(whole, number) if whole < number else None
            if whole:
                block = block.part(0, whole)
                if has_flags:
                    num_alone += whole - 2 * len(starts_of_pairs(block.names, block.mates))
                else:
                    block = _with_mates(path, num_before, block)
                yield block
            num_before += whole
    if rest is not None and not has_flags:
        raise InputError(path, f"{rest.names[0]!r}, the last read, has no mate", record=num_before + 1)
    if rest is not None:
        num_alone += len(rest.names) - 2 * len(starts_of_pairs(rest.names, rest.mates))
        yield rest
    if num_alone and warns:
        logger.warning(
            "%s: %d reads have no mate beside them and are judged alone; samtools collate joins mates",
            path,
            num_alone,
        )


def pair_p_values(names: Sequence[str], mates: Sequence[int], p_values: Floats) -> Floats:
    """One p-value for both mates of each pair, shape (N,); that of the read alone where it has no mate.

    Of p ≤ q it is min(2 p, q); where one of them is NaN, the other one.

    Parameters
    ----------
    names, mates, p_values
        Of N reads, mate 2 after mate 1; NaN for a read that cannot be scored.

    Notes
    -----
    Source: Simes 1986, "An improved Bonferroni procedure for multiple tests of significance". Mates are of
    one fragment and their p-values not independent, which Fisher's method needs. Simes' test keeps its
    level if they are, and under positive dependence (Sarkar and Chang 1997), which mates of one genome
    have; under no dependence at all does it exceed 1.5 times the level (Hommel 1983). It rejects whenever
    Bonferroni's does, and whenever both mates do by themselves.
    """
    joint = p_values.copy()
    first = starts_of_pairs(names, mates)
    one, other = p_values[first], p_values[first + 1]
    joint[first] = joint[first + 1] = np.fmin(2.0 * np.fmin(one, other), np.fmax(one, other))
    return joint


def _next(blocks: Iterator[ReadBlock]) -> ReadBlock | None:
    """The next block that holds reads, and not only other records."""
    return next((block for block in blocks if block.names), None)


def _after(number: int, block: ReadBlock) -> ReadBlock | None:
    """The reads of a block but for the first so many."""
    return block.part(number, len(block.names)) if number < len(block.names) else None


def _are_mates(first: str, second: str) -> bool:
    """Whether names are those of a mate 1 and of its mate 2."""
    are_turned = first.endswith("/2") and second.endswith("/1")
    return first == second or (fragment_of(first) == fragment_of(second) and not are_turned)


def _not_mates(first: str, second: str, place: str) -> str:
    """What is wrong with the second of two names, where the first is `place`."""
    if _are_mates(second, first):
        return f"{second!r} is a mate 1, and {first!r} {place} a mate 2; mates 1 come first"
    return f"{second!r} is not the mate of {first!r} {place}"


def _check_sides(first_path: str, firsts: Sequence[str], second_path: str, seconds: Sequence[str]) -> None:
    """Raise InputError if all names of two files end as those of mates 1, or all as those of mates 2."""
    for number in (1, 2):
        if all(name.endswith(f"/{number}") for name in chain(firsts, seconds)):
            raise InputError(
                second_path,
                f"holds mates {number} by their names, which end in /{number}, as {first_path} does",
            )


def _check_unflagged(path: str, block: ReadBlock) -> None:
    if any(block.mates):
        raise InputError(path, "holds both mates by its flags; collate it by name and use --interleaved")


def _with_mates(path: str, num_before: int, block: ReadBlock) -> ReadBlock:
    names = block.names
    for i in range(0, len(names), 2):
        if not _are_mates(names[i], names[i + 1]):
            problem = _not_mates(names[i], names[i + 1], "before it")
            raise InputError(path, problem, record=num_before + i + 2)
    return replace(block, mates=[1, 2] * (len(names) // 2))


def _interleaved(first: ReadBlock, second: ReadBlock) -> ReadBlock:
    records = None
    if first.records is not None and second.records is not None:
        records = first.records.interleaved(second.records)
    return ReadBlock(
        names=list(chain(*zip(first.names, second.names, strict=True))),
        mates=[1, 2] * len(first.names),
        lengths=np.stack([first.lengths, second.lengths], axis=1).reshape(-1),
        codes=np.concatenate(list(chain(*zip(first.sequences(), second.sequences(), strict=True)))),
        records=records,
    )
