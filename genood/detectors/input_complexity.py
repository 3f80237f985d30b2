"""The likelihood against the length of the compressed read, per base."""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.sequence import Codes

_LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**16, "lc": 0, "lp": 0, "pb": 0}]
_IN_BYTE = np.array([64, 16, 4, 1], dtype=np.uint8)
"""What a base counts for in a byte of four."""


class InputComplexity(Detector):
    """OOD score (−log2 p_θ(x) − L(x)) / n, in bits per base, over the n scored positions of x.

    L(x) is the code length in bits of the scored bases, one after another: the smallest of DEFLATE and
    LZMA of four bases to a byte, and of DEFLATE of a base to a byte, each without what it writes for no
    base at all.

    Notes
    -----
    Source: Serrà et al. 2020, "Input complexity and out-of-distribution detection with likelihood-based
    generative models", with the smallest of several compressors, as they take.

    Differs from the paper: compressors of bytes in place of those of images. Two bits a base are hard to
    beat for a short read: of reads of 250 bases from bacteria, the code has 2.1 bits a base on average,
    nearly the same for all, so that the score's ranking is close to that of the likelihood; tandem
    repeats and stretches of one base have far fewer. LZMA of a base to a byte, and bzip2, were
    never the smallest, from 100 bases to 100,000. Other versions of the compressors may give lengths
    that differ by some bits.
    """

    name = "input-complexity"
    needs = frozenset({"likelihood"})
    each_base = False

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; bits per base."""
        reads = zip(batch.codes, batch.mask, strict=True)
        bits = np.array([code_length(codes[mask]) for codes, mask in reads], dtype=np.float64)
        return batch.per_base(-batch.log_likelihood / math.log(2) - bits).astype(np.float32)


def code_length(codes: Codes) -> int:
    """Bits of the smallest of several codes of known bases, uint8 (n,)."""
    packed, plain = _packed(codes), codes.tobytes()
    return 8 * min(
        _num_bytes(_deflate, packed), _num_bytes(_compress_lzma, packed), _num_bytes(_deflate, plain)
    )


def _packed(codes: Codes) -> bytes:
    """Four bases to a byte, the last byte filled up with A."""
    filled = np.zeros(-(-len(codes) // 4) * 4, dtype=np.uint8)
    filled[: len(codes)] = codes
    return (filled.reshape(-1, 4) @ _IN_BYTE).tobytes()


def _num_bytes(compress: Callable[[bytes], bytes], data: bytes) -> int:
    return len(compress(data)) - _OF_NOTHING[compress]


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _compress_lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_LZMA)


_OF_NOTHING: dict[Callable[[bytes], bytes], int] = {
    compress: len(compress(b"")) for compress in (_deflate, _compress_lzma)
}
"""Bytes that a compressor writes for no input."""
