"""Reads of the published benchmark, from both of its forms."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from prep.release import bases, digits, example, origin, read_example, record, table

from data_prep.published_labels import RELEASED_LABELS, numbers_of, parse_labels
from data_prep.published_reads import ReadBatch, table_batches, tfrecord_batches
from genood.errors import InputError
from genood.sequence import decode

A, B = bases(1), bases(2)


def from_records(*examples: bytes, split: str = "val_in") -> list[ReadBatch]:
    stream = io.BytesIO(b"".join(map(record, examples)))
    return list(tfrecord_batches(stream, "s.tfrecord", split, RELEASED_LABELS))


def from_table(text: str | bytes, split: str = "val_in") -> list[ReadBatch]:
    stream = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return list(table_batches(stream, "t.txt", split, RELEASED_LABELS))


def check(batch: ReadBatch) -> None:
    assert batch.codes.dtype == np.uint8
    assert list(map(decode, batch.codes)) == [A, B]
    assert list(batch.origins.classes) == ["Bacillus", "Yersinia"]
    assert list(batch.origins.accessions) == ["CP000721.1", "AB1.1"]
    assert batch.origins.starts.tolist() == [3903278, 0]
    assert batch.origins.starts.dtype == np.int64
    assert list(batch.origins.strands) == ["", ""]


CLOSTRIDIUM = "CP000721.1 Clostridium beijerinckii NCIMB 8052_posterior, complete genome_pos3903278-3903527"


def test_records() -> None:
    (batch,) = from_records(read_example(A, 0, CLOSTRIDIUM), read_example(B, 9, origin(0)))
    check(batch)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_table(newline: str, end: bool) -> None:
    text = table([(A, 0), (B, 9)], "val_in").replace(origin(100), CLOSTRIDIUM).replace("100", "0")
    text = text.replace(origin(101), origin(0)).replace("\n", newline)
    (batch,) = from_table(text if end else text.rstrip())
    check(batch)


def test_table_with_commas_and_other_columns() -> None:
    text = table([(A.lower(), 0), (B, 9)], "val_in", delimiter=",")
    lines = [f"7,{line}" for line in text.splitlines()]
    (batch,) = from_table("\n".join(["id" + lines[0][1:], lines[1], "", lines[2]]))
    assert list(map(decode, batch.codes)) == [A, B]
    assert batch.origins.starts.tolist() == [100, 101]


def test_other_spaces_between_integers() -> None:
    spaced = digits(A).replace(b" ", b"  ", 1) + b"\n"
    (batch,) = from_records(example(x=spaced, y=0, z=origin().encode()))
    assert decode(batch.codes[0]) == A


def test_more_reads_than_a_batch() -> None:
    num_reads = 20_000
    stream = io.BytesIO(record(read_example(A, 0)) * (num_reads - 1) + record(read_example(B, 1)))
    batches = list(tfrecord_batches(stream, "s", "train_in", RELEASED_LABELS))
    assert len(batches) > 1
    assert sum(len(batch.codes) for batch in batches) == num_reads
    assert decode(batches[-1].codes[-1]) == B
    lines = table([(A, 0)], "train_in").splitlines()
    batches = from_table("\n".join([lines[0], *[lines[1]] * num_reads]), "train_in")
    assert sum(len(batch.codes) for batch in batches) == num_reads


def test_without_classes() -> None:
    (batch,) = from_records(read_example(A, 0), read_example(B, 9), read_example(A, 1))
    assert batch.without([]) is batch
    kept = batch.without(["Bacillus", "Burkholderia"])
    assert list(map(decode, kept.codes)) == [B]
    assert list(kept.origins.classes) == ["Yersinia"]
    assert {len(column) for column in kept.origins} == {1}
    assert len(batch.without(["Bacillus", "Burkholderia", "Yersinia"]).codes) == 0


ORIGIN = origin().encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (read_example(A[:249], 0), "it has 249 bases, where reads of the benchmark have 250"),
        (read_example("", 0), "it has 0 bases"),
        (example(x=digits(A[1:]) + b" 4", y=0, z=ORIGIN), "its bases are not all 0, 1, 2 or 3"),
        (example(x=digits(A[1:]) + b" 11", y=0, z=ORIGIN), "its bases are not all 0, 1, 2 or 3"),
        (example(x=digits(A).replace(b" ", b","), y=0, z=ORIGIN), "its bases are not all"),
        (read_example(A, 0, "nowhere"), "the origin 'nowhere' is not of the form"),
        (read_example(A, 0, "AB1.1_pos1-250"), "the origin"),
        (read_example(A, 0, "AB1.1 organism_pos12x-250"), "the origin"),
        (example(x=digits(A), y=0, z=b"\xff Organism_pos1-250"), "the origin"),
        (read_example(A, 10), r"the class Actinoplanes \(number 10\) does not belong into val_in"),
        (example(x=digits(A), y=0), "the features x, y and z must have one value each; there are 'x', 'y'"),
        (example(x=digits(A), y=digits(A), z=ORIGIN), "the features x, y and z must have one value each"),
        (b"no message", "its data are no tf.train.Example"),
    ],
)
def test_bad_record(data: bytes, problem: str) -> None:
    good = read_example(A, 0)
    # The frame of a record has 16 bytes.
    with pytest.raises(InputError, match=rf"^s\.tfrecord, record 2: byte {len(good) + 16:,}: {problem}"):
        from_records(good, data)


@pytest.mark.parametrize(
    ("split", "good", "bad"),
    [
        ("train_in", 9, 10),
        ("test_in", 0, 70),
        ("val_ood", 10, 9),
        ("val_ood", 69, 70),
        ("test_ood", 70, 69),
        ("test_ood", 127, 0),
    ],
)
def test_class_in_the_wrong_split(split: str, good: int, bad: int) -> None:
    (batch,) = from_records(read_example(A, good), split=split)
    assert list(batch.origins.classes) == [RELEASED_LABELS[good]]
    problem = rf"the class {RELEASED_LABELS[bad]} \(number {bad}\) does not belong into {split}"
    with pytest.raises(InputError, match=rf"record 2: .*{problem}"):
        from_records(read_example(A, good), read_example(A, bad), split=split)
    with pytest.raises(InputError, match=rf"line 3: {problem}"):
        from_table(table([(A, good), (A, bad)], split), split)


def test_class_that_is_not_among_the_labels() -> None:
    stream = io.BytesIO(record(read_example(A, 3)))
    with pytest.raises(InputError, match="record 1: byte 0: the class 3 is not among the labels"):
        list(tfrecord_batches(stream, "s", "val_in", {0: "Bacillus"}))


GOOD = table([(A, 0), (B, 9)], "val_in")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace(B, B[1:]), "line 3: it has 249 bases"),
        (lambda text: text.replace(B, B[1:] + "N"), "line 3: it holds 'N'"),
        (lambda text: text.replace(B, B[1:] + "é"), "line 3: it holds"),
        (lambda text: text.replace("Yersinia", "Yersina"), "line 3: the class 'Yersina' is not among"),
        (lambda text: text.replace("pos101-", "101-"), "line 3: the origin"),
        (lambda text: text.removesuffix("in\n"), "line 3: its domain is '', and val_in takes 'in'"),
        (lambda text: text.removesuffix("in\n") + "ood", "line 3: its domain is 'ood'"),
        (lambda text: text.removesuffix("\tin\n"), "line 3: has 3 columns, and the header 4"),
        (lambda text: text.removesuffix("\n") + "\tmore\n", "line 3: has 5 columns, and the header 4"),
        (lambda text: text.replace("domain", "side"), "line 1: has no column domain"),
        (lambda text: "", "line 1: has no column seq, label, seq_info, domain"),
        (lambda text: text.replace("Yersinia", '"Yersinia'), "after line 2: is no table of text"),
    ],
)
def test_bad_table(change: Callable[[str], str], problem: str) -> None:
    text = change(GOOD)
    assert text != GOOD
    with pytest.raises(InputError, match=rf"^t\.txt(, |: ){problem}"):
        from_table(text)


def test_table_that_is_no_text() -> None:
    with pytest.raises(InputError, match=r"^t\.txt: after line 1: is no table of text"):
        from_table(GOOD.encode() + b"\xff\xfe")


def test_labels() -> None:
    assert parse_labels(b'{"Bacillus": 0, "Tumebacillus": 129}', "l") == {0: "Bacillus", 129: "Tumebacillus"}
    # Numbers of the released label_dict.json, at the ends of the three groups and within them.
    some = {0: "Bacillus", 9: "Yersinia", 10: "Actinoplanes", 24: "Collimonas", 65: "Sphaerochaeta"}
    some |= {69: "Terriglobus", 70: "Actinoalloteichus", 123: "Sphingorhabdus", 129: "Tumebacillus"}
    assert {number: RELEASED_LABELS[number] for number in some} == some
    names = list(RELEASED_LABELS.values())
    assert names == [*sorted(names[:10]), *sorted(names[10:70]), *sorted(names[70:])]
    assert len(RELEASED_LABELS) == len(set(names)) == 130
    sizes = {split: len(numbers_of(split)) for split in ("train_in", "val_in", "val_ood", "test_ood")}
    assert sizes == {"train_in": 10, "val_in": 10, "val_ood": 60, "test_ood": 60}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'["a"]', "does not map class names to whole numbers"),
        (b'{"a": "b"}', "does not map class names to whole numbers"),
        (b'{"a": true}', "does not map class names to whole numbers"),
        (b"{", "cannot be read as JSON"),
        (b"\xff", "cannot be read as JSON"),
        (b'{"a": 1, "b": 1}', "gives two classes the same number"),
        (b'{"a": 130}', "numbers a class 130"),
    ],
)
def test_bad_labels(text: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=f"^l: {problem}"):
        parse_labels(text, "l")
