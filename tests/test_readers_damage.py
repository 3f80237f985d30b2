"""Files that something has happened to: the reads that plain parsers find in them, or one clear error.

The same damage each time; ``fuzz/readers.py`` looks further.
"""

from __future__ import annotations

import pytest
from damage import COMPRESSIONS, FASTQ, FORMATS, check_compressed, check_format, found, taken
from hypothesis import given, settings
from hypothesis import strategies as st

TOKENS = [
    b"\n", b"\r\n", b"\r", b"\n\n\n\n", b"\t", b" ", b"\0", b"@", b">", b"+", b"#", b";", b"*", b"=", b"\x85",
    b"\xff", b"N", b"\n+\n", b"\n@x\n", b"\n>x\n", b"-1", b"99999999999", b"@HD\t", b"\x1f\x8b", b"BAM\1",
    b"\xef\xbb\xbf",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with bytes changed, lost, repeated, put in or cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(changed)))
        stop = min(len(changed), place + draw(st.integers(0, 12)))
        what = draw(st.sampled_from(["set", "lose", "repeat", "token", "move", "cut"]))
        if what == "set":
            changed[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif what == "lose":
            del changed[place:stop]
        elif what == "repeat":
            changed[place:place] = changed[place:stop] * draw(st.integers(1, 3))
        elif what == "token":
            changed[place:place] = draw(st.sampled_from(TOKENS))
        elif what == "move":
            part = changed[place:stop]
            del changed[place:stop]
            target = draw(st.integers(0, len(changed)))
            changed[target:target] = part
        else:
            del changed[place:]
    return bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
def test_plain_parsers_find_what_is_there(name: str) -> None:
    content, start, parse = FORMATS[name]
    assert start.match(content)
    reads, error = found(content)
    assert (error, len(reads)) == (None, 3 if name == "dataset" else 4)
    if parse is not None:
        assert (reads, True) == taken(parse(content))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_formats(name: str, data: st.DataObject) -> None:
    check_format(name, data.draw(damaged(FORMATS[name].whole)))


@pytest.mark.parametrize("name", COMPRESSIONS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_compressions(name: str, data: st.DataObject) -> None:
    compress, _ = COMPRESSIONS[name]
    check_compressed(name, data.draw(damaged(compress(FASTQ))))
