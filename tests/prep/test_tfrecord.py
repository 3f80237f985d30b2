"""The reader of TFRecord files."""

from __future__ import annotations

import io

import pytest
from prep.release import example, record

from data_prep.tfrecord import Record, masked_crc32c, parse_example, read_records
from genood.errors import InputError


def test_checksum() -> None:
    # The check value of CRC-32C is 0xE3069283: rotated right by 15 bits 0x2507C60D, plus 0xA282EAD8.
    assert masked_crc32c(b"123456789") == 0xC78AB0E5
    # The length 622, and the checksum that TensorFlow wrote after it in the released training shard.
    assert masked_crc32c(bytes.fromhex("6e02000000000000")) == 0x15145FB8


def test_records() -> None:
    data = record(b"one") + record(b"") + record(b"three" * 1000)
    records = list(read_records(io.BytesIO(data), "s"))
    assert records == [Record(1, 0, b"one"), Record(2, 19, b""), Record(3, 35, b"three" * 1000)]
    assert list(read_records(io.BytesIO(b""), "s")) == []


def broken(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


GOOD = record(b"one")  # 19 bytes
SECOND = record(b"four")  # 8 of length, 4 of its checksum, 4 of data, 4 of their checksum


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (broken(SECOND, 0), "the checksum of the record's length"),
        (broken(SECOND, 7), "the checksum of the record's length"),
        (broken(SECOND, 8), "the checksum of the record's length"),
        (broken(SECOND, 12), "the checksum of the record's data"),
        (broken(SECOND, 19), "the checksum of the record's data"),
        *[(SECOND[:cut], "the file ends within the record") for cut in (1, 11, 12, 14, 16, 19)],
    ],
)
def test_damage(second: bytes, problem: str) -> None:
    records = read_records(io.BytesIO(GOOD + second), "s.tfrecord")
    assert next(records).data == b"one"
    with pytest.raises(InputError, match=rf"^s\.tfrecord, record 2: byte 19: {problem}"):
        next(records)


def test_every_flipped_bit_is_found() -> None:
    for bit in range(8 * len(SECOND)):
        data = bytearray(SECOND)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError):
            list(read_records(io.BytesIO(bytes(data)), "s"))


def test_another_file() -> None:
    with pytest.raises(InputError, match=r"^f, record 1: byte 0: is no TFRecord file"):
        list(read_records(io.BytesIO(b">genome\nACGTACGTACGTACGT\n"), "f"))


def test_length_that_no_example_has() -> None:
    header = (2**40).to_bytes(8, "little")
    header += masked_crc32c(header).to_bytes(4, "little")
    with pytest.raises(InputError, match="record 1: byte 0: the record has 1,099,511,627,776 bytes"):
        list(read_records(io.BytesIO(header), "f"))


def test_example() -> None:
    features = parse_example(example(x=b"0 1", y=7, z="Ω".encode()))
    assert list(features) == ["x", "y", "z"]
    assert list(features["x"].bytes_list.value) == [b"0 1"]
    assert list(features["y"].int64_list.value) == [7]
    assert not features["y"].bytes_list.value
    # A label above 127, and one that is not packed, as other writers have it.
    assert parse_example(b"\n\x0c\n\n\n\x01y\x12\x05\x1a\x03\x08\x81\x01")["y"].int64_list.value[0] == 129
    for data in (b"\xff", b"\n\x05\n", example(x=b"0")[:-1]):
        with pytest.raises(ValueError, match=r"its data are no tf\.train\.Example"):
            parse_example(data)
