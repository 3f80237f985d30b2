"""TFRecord files, and the ``tf.train.Example`` messages in them, without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of these 8 bytes (4), the data, and a checksum
of the data (4). A checksum is the CRC-32C, rotated right by 15 bits, plus a constant.

Source: TensorFlow, ``tensorflow/core/lib/io/record_writer.h`` and ``tensorflow/core/example``.

The frame is read here because the package that reads TFRecords without a framework (``tfrecord``) skips
the checksums and takes any length for true. The CRC is google-crc32c's, the messages are protobuf's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from genood.errors import InputError

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_MAX_BYTES = 2**31 - 1
"""Longest message of protobuf; a longer record cannot be an example."""
_DAMAGED = "the file is damaged, get it again"


class Record(NamedTuple):
    """One record.

    Attributes
    ----------
    number
        In the file, from 1.
    offset
        Byte of the file at which it starts.
    data
        Without the frame.
    """

    number: int
    offset: int
    data: bytes


def masked_crc32c(data: bytes) -> int:
    """The checksum that a TFRecord file holds of some bytes, 0 to 2³² − 1."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def read_records(stream: BinaryIO, path: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of a TFRecord file, in order, checksums checked.

    Parameters
    ----------
    stream
        The file from its first byte, uncompressed; its `read` falls short only at the end.
    path
        What errors call it.

    Raises
    ------
    InputError
        A checksum does not fit, or the file ends in the middle of a record. The record's number and the
        byte at which it starts are named; the records before come first.
    """
    number = offset = 0
    while header := stream.read(_HEADER.size):
        number += 1
        if len(header) < _HEADER.size:
            raise record_error(path, number, offset, f"the file ends within the record; {_DAMAGED}")
        length, checksum = _HEADER.unpack(header)
        if masked_crc32c(header[:8]) != checksum:
            problem = f"the checksum of the record's length does not fit; {_DAMAGED}"
            if number == 1:
                problem = "is no TFRecord file, or compressed, or damaged (checksum of a length)"
            raise record_error(path, number, offset, problem)
        if length > _MAX_BYTES:
            raise record_error(path, number, offset, f"the record has {length:,} bytes; no example does")
        data = stream.read(length)
        footer = stream.read(_CHECKSUM.size)
        if len(data) < length or len(footer) < _CHECKSUM.size:
            raise record_error(path, number, offset, f"the file ends within the record; {_DAMAGED}")
        if masked_crc32c(data) != _CHECKSUM.unpack(footer)[0]:
            problem = f"the checksum of the record's data does not fit; {_DAMAGED}"
            raise record_error(path, number, offset, problem)
        yield Record(number, offset, data)
        offset += _HEADER.size + length + _CHECKSUM.size


def record_error(path: str | os.PathLike[str], number: int, offset: int, problem: str) -> InputError:
    """What is wrong with a record that starts at byte `offset` of a file."""
    return InputError(path, f"byte {offset:,}: {problem}", record=number)


def parse_example(data: bytes) -> dict[str, Any]:
    """The features of a ``tf.train.Example`` by name.

    Each has ``bytes_list.value`` and ``int64_list.value``, one of which is empty; lists of floats are
    not read.

    Raises
    ------
    ValueError
        The data are no such message.
    """
    try:
        return {entry.key: entry.value for entry in _EXAMPLE.FromString(data).features.feature}
    except DecodeError as error:
        raise ValueError("its data are no tf.train.Example") from error


_FIELDS = {
    "BytesList": ["repeated bytes value = 1"],
    "Int64List": ["repeated int64 value = 1"],
    "Feature": ["optional BytesList bytes_list = 1", "optional Int64List int64_list = 3"],
    "Entry": ["optional string key = 1", "optional Feature value = 2"],
    "Features": ["repeated Entry feature = 1"],
    "Example": ["optional Features features = 1"],
}
"""The messages within an example; a map is on the wire what a list of keys and values is."""


def _make_example_class() -> Any:
    """The message class of an example, in a pool of its own, where TensorFlow's is not in the way."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="genood", syntax="proto3")
    for message_name, fields in _FIELDS.items():
        message = file.message_type.add(name=message_name)
        for field in fields:
            label, kind, name, _, number = field.split()
            descriptor = message.field.add(name=name, number=int(number))
            descriptor.label = descriptor.Label.Value(f"LABEL_{label.upper()}")
            if kind in _FIELDS:
                descriptor.type = descriptor.TYPE_MESSAGE
                descriptor.type_name = f".genood.{kind}"
            else:
                descriptor.type = descriptor.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("genood.Example"))


_EXAMPLE = _make_example_class()
