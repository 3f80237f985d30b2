"""What training is given: genomes from datasets, and what is validated on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_datasets import write_dataset, write_strain_dataset
from toys import uniform_codes, write_fasta

from genood.dataset import Dataset, Origins, create_dataset
from genood.errors import ConfigError, GenoodError, InputError, TrainingError
from genood.files import sha256_of
from genood.reference.genomes import Genomes, load_genomes, merge
from genood.reference.loading import (
    Validation,
    genomes_of_split,
    load_reference,
    load_training,
    load_validation,
    provenance,
)
from genood.sequence import decode, encode


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_strain_dataset(tmp_path_factory.mktemp("reference") / "reads", num_reads=50))


@pytest.fixture
def fasta(tmp_path: Path) -> str:
    return str(write_fasta(tmp_path / "Alpha__one.fna", {"a": uniform_codes(2_000, 7)}))


def segments(genomes: Genomes) -> list[tuple[str, str]]:
    """Class and letters of each."""
    return [
        (genomes.classes[label], decode(genomes.codes[start : start + length]))
        for start, length, label in zip(genomes.starts, genomes.lengths, genomes.labels, strict=True)
    ]


def reads(dataset: str, split: str) -> list[tuple[str, str]]:
    there = Dataset.load(dataset).splits[split]
    return list(zip(there.origins()["class"], map(decode, there.codes), strict=True))


def test_each_read_is_a_segment_of_its_class(dataset: str) -> None:
    genomes = load_reference([dataset], min_length=100, classes=None)
    assert genomes.classes == ("Beta", "Gamma")
    assert Counter(segments(genomes)) == Counter(reads(dataset, "train_in"))
    assert set(genomes.lengths.tolist()) == {100}
    assert genomes.starts.tolist() == list(range(0, 10_000, 100))
    # Each class is a file, the reads of one after those of the other.
    assert genomes.file_ends.tolist() == [5_000, 10_000]
    assert genomes.labels.tolist() == [0] * 50 + [1] * 50
    assert genomes.files_at(genomes.starts).tolist() == genomes.labels.tolist()


def test_files_say_what_was_used(dataset: str) -> None:
    genomes = load_reference([dataset], min_length=100, classes=None)
    beta = [letters for name, letters in reads(dataset, "train_in") if name == "Beta"]
    assert [file.name for file in genomes.files] == ["reads/train_in.npy"] * 2
    file = genomes.files[0]
    assert (file.class_name, file.num_records, file.num_bases, file.usable_bases) == ("Beta", 50, 5000, 5000)
    content = b"100\0" + b"".join(encode(read).tobytes() for read in beta)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    [part] = genomes.datasets
    assert (part.name, part.split) == ("reads", "train_in")
    assert part.sha256 == {
        name: sha256_of(Path(dataset) / name) for name in ("dataset.json", "train_in.npy", "train_in.tsv.gz")
    }


def test_reads_in_order_of_class_are_not_copied(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "d", read_length=8, seed=None, sources=[]) as writer:
        for name in ("A", "B"):
            codes = uniform_codes(24, ord(name)).reshape(3, 8)
            writer.add("train_in", codes, Origins([name] * 3, [""] * 3, np.full(3, -1), [""] * 3))
    genomes = genomes_of_split(str(tmp_path / "d"), "train_in", min_length=8)
    assert not genomes.codes.flags.writeable
    np.testing.assert_array_equal(genomes.codes, np.load(tmp_path / "d" / "train_in.npy").reshape(-1))


def test_unknown_bases_cut_reads(tmp_path: Path) -> None:
    lines = [
        ("B", "ACGTACGTAC"),
        ("A", "ACGTNNGGGG"),
        ("A", "NACNACGTNN"),
        ("B", "NNNNNNNNNN"),
        ("A", "C" * 10),
    ]
    with create_dataset(tmp_path / "d", read_length=10, seed=None, sources=[]) as writer:
        codes = np.stack([encode(letters) for _, letters in lines])
        origins = Origins([name for name, _ in lines], [""] * 5, np.full(5, -1), [""] * 5)
        writer.add("train_in", codes, origins)
    genomes = genomes_of_split(str(tmp_path / "d"), "train_in", min_length=3)
    assert segments(genomes) == [
        ("A", "ACGT"),
        ("A", "GGGG"),
        ("A", "ACGT"),
        ("A", "C" * 10),
        ("B", "ACGTACGTAC"),
    ]
    # Only what is in a segment is kept.
    assert genomes.starts.tolist() == [0, 4, 8, 12, 22]
    assert genomes.file_ends.tolist() == [22, 32]
    assert len(genomes.codes) == 32
    assert [(file.num_records, file.num_bases, file.usable_bases) for file in genomes.files] == [
        (3, 30, 22),
        (2, 20, 10),
    ]


def test_a_class_without_a_long_enough_run(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "d", read_length=5, seed=None, sources=[]) as writer:
        codes = np.stack([encode("ACGTA"), encode("ACNTA")])
        writer.add("train_in", codes, Origins(["A", "B"], ["", ""], np.array([-1, -1]), ["", ""]))
    with pytest.raises(TrainingError, match="class 'B' has no stretch of 3 known bases"):
        load_reference([str(tmp_path / "d")], min_length=3, classes=None)


def test_longer_reads_than_the_dataset_has(dataset: str) -> None:
    problem = (
        "reads: its reads have 100 bases, so that none of 101 can be drawn; give --read-length 100 or less"
    )
    with pytest.raises(ConfigError, match=problem):
        load_reference([dataset], min_length=101, classes=None)


def test_damage_is_found_before_it_is_learned(tmp_path: Path) -> None:
    directory = write_strain_dataset(tmp_path / "d", num_reads=5)
    codes = np.load(directory / "train_in.npy")
    codes[0, 0] = (codes[0, 0] + 1) % 4
    np.save(directory / "train_in.npy", codes)
    with pytest.raises(InputError, match=r"train_in.npy: differs from the sha256"):
        load_reference([str(directory)], min_length=50, classes=None)


def test_fasta_and_datasets_together(dataset: str, fasta: str) -> None:
    both = load_reference([dataset, fasta], min_length=100, classes=None)
    apart = merge(
        load_genomes([fasta], min_length=100), genomes_of_split(dataset, "train_in", min_length=100)
    )
    assert both.fingerprint == apart.fingerprint
    assert both.classes == ("Alpha", "Beta", "Gamma")
    assert [file.name for file in both.files] == ["Alpha__one.fna", *["reads/train_in.npy"] * 2]
    assert both.datasets == apart.datasets
    assert both.with_segments([]).datasets == apart.datasets


def test_the_same_dataset_twice(dataset: str) -> None:
    with pytest.raises(TrainingError, match="is there already"):
        load_reference([dataset, dataset], min_length=100, classes=None)


def test_a_split_is_no_file_of_the_reference(dataset: str) -> None:
    with pytest.raises(InputError, match=r"train_in.npy: is part of a dataset; name its directory"):
        load_reference([f"{dataset}/train_in.npy"], min_length=100, classes=None)


def test_table_of_classes(dataset: str, fasta: str, tmp_path: Path) -> None:
    table = tmp_path / "classes.tsv"
    table.write_text("file\tclass\nAlpha__one.fna\tOmega\n")
    with pytest.raises(ConfigError, match="--classes is for FASTA files; a dataset has its classes"):
        load_reference([dataset], min_length=100, classes=str(table), validation=[dataset])
    both = load_reference([fasta, dataset], min_length=100, classes=str(table))
    assert both.classes == ("Beta", "Gamma", "Omega")
    # The table may be for the validation files alone.
    load_reference([dataset], min_length=100, classes=str(table), validation=[fasta])
    validation = load_validation([fasta], [dataset], min_length=100, classes=str(table))
    assert validation is not None
    assert validation.genomes.classes == ("Omega",)


def test_a_dataset_is_validated_on_its_own(dataset: str) -> None:
    validation = load_validation([], [dataset], min_length=100, classes=None)
    assert validation is not None
    assert Counter(segments(validation.genomes)) == Counter(reads(dataset, "val_in"))
    assert validation.source == "val_in of the dataset"
    assert validation.apart


def test_what_is_named_wins(dataset: str, fasta: str) -> None:
    validation = load_validation([fasta], [dataset], min_length=100, classes=None)
    assert validation is not None
    assert [file.name for file in validation.genomes.files] == ["Alpha__one.fna"]
    assert validation.source == "validation sequences"
    validation = load_validation([dataset], [fasta], min_length=100, classes=None)
    assert validation is not None
    assert Counter(segments(validation.genomes)) == Counter(reads(dataset, "val_in"))
    # Said aloud, what is done anyway.
    validation = load_validation([dataset], [dataset], min_length=100, classes=None)
    assert validation is not None
    assert validation.genomes.datasets[0].split == "val_in"


def test_fasta_files_are_held_out_of(fasta: str) -> None:
    assert load_validation([], [fasta], min_length=100, classes=None) is None


def test_classes_of_one_side_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def files(side: str, *classes: str) -> list[str]:
        return [
            str(write_fasta(tmp_path / f"{name}__{side}.fna", {"s": uniform_codes(2_000, number)}))
            for number, name in enumerate(classes, ord(side))
        ]

    def said(training: list[str], validation: list[str]) -> list[str]:
        caplog.clear()
        load_training(
            training, read_length=100, classes=None, validation=validation, held_out_fraction=0.1, seed=0
        )
        return [record.message for record in caplog.records]

    reference = files("A", "Alpha", "Beta", *"CDEFGH")
    assert said(reference, files("a", "Alpha", "Beta", *"CDEFGH")) == []
    assert said(reference, files("a", "Alpha", "Zeta")) == [
        "validation sequences: none are of class Beta, C, D, E, F and 2 more; p-values may not hold for "
        "their reads",
        "validation sequences: some are of class Zeta, which the reference lacks; p-values will be too large",
    ]
    # Where names say nothing of classes, each file is one of its own.
    assert said(reference, files("a", "Other")) == []
    with pytest.raises(
        ConfigError, match=r"^Copy__A\.fna: holds the same sequences as Alpha__A\.fna, which is"
    ):
        said(reference, [*files("a", "Alpha"), *files("A", "Copy")])


def test_nothing_to_validate_on(dataset: str, fasta: str, tmp_path: Path) -> None:
    genomes = {"train_in": {"A": uniform_codes(200, 1)}, "test_in": {"A": uniform_codes(200, 2)}}
    bare = str(write_dataset(tmp_path / "bare", genomes, num_reads=3, read_length=20))
    cases: list[tuple[list[str], list[str], type[GenoodError], str]] = [
        ([], [bare], ConfigError, "bare: has no val_in reads, .* with --val"),
        ([], [fasta, dataset], ConfigError, "together need sequences to validate on; give --val"),
        ([bare], [dataset], InputError, "bare: has no val_in reads"),
        ([fasta], [dataset, fasta], ConfigError, "both trained and validated on"),
    ]
    for validation, inputs, error, problem in cases:
        with pytest.raises(error, match=problem):
            load_validation(validation, inputs, min_length=20, classes=None)


def test_a_dataset_without_reads_to_train_on(tmp_path: Path) -> None:
    genomes = {"test_in": {"A": uniform_codes(200, 2)}}
    only = str(write_dataset(tmp_path / "only", genomes, num_reads=3, read_length=20))
    with pytest.raises(InputError, match="only: has no train_in reads"):
        load_reference([only], min_length=20, classes=None)


def test_provenance(dataset: str, fasta: str) -> None:
    reference = load_reference([dataset], min_length=100, classes=None)
    validation = load_validation([], [dataset], min_length=100, classes=None)
    assert validation is not None
    said = json.loads(json.dumps(provenance(reference, validation)))
    assert said["fingerprint"] == reference.fingerprint
    assert [(part["name"], part["split"]) for part in said["datasets"]] == [("reads", "train_in")]
    assert [(part["name"], part["split"]) for part in said["validation_datasets"]] == [("reads", "val_in")]
    sha256 = sha256_of(Path(dataset) / "val_in.npy")
    assert said["validation_datasets"][0]["sha256"]["val_in.npy"] == sha256
    assert {file["class_name"] for file in said["validation_files"]} == {"Beta", "Gamma"}
    alone = load_genomes([fasta], min_length=100)
    said = provenance(alone, Validation(alone, "stretches", apart=False))
    assert said["datasets"] == said["validation_files"] == said["validation_datasets"] == []
    assert said["validation"] == "stretches"
