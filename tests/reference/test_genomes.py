"""Genomes, the reads drawn from them and the stretches held out of them."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toys import uniform_codes, write_fasta

from genood.errors import InputError, TrainingError
from genood.reference.genomes import Genomes, load_genomes, merge, split_held_out
from genood.reference.labels import class_of, read_classes
from genood.reference.sampling import ReadSampler
from genood.sequence import Codes, decode, reverse_complement


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def segments(genomes: Genomes, label: int) -> list[str]:
    return [
        decode(genomes.codes[start : start + length])
        for start, length, mine in zip(genomes.starts, genomes.lengths, genomes.labels, strict=True)
        if mine == label
    ]


def toy(folder: Path, **classes: list[int]) -> Genomes:
    """Genomes with random contigs of the given lengths by class."""
    paths = []
    for number, (name, lengths) in enumerate(classes.items()):
        records = {f"{name}{i}": uniform_codes(length, 100 * number + i) for i, length in enumerate(lengths)}
        paths.append(write_fasta(folder / f"{name}__toy.fa", records))
    return load_genomes(paths, min_length=20)


def covered(genomes: Genomes) -> Counter[int]:
    """How many segments cover each base."""
    return Counter(
        position
        for start, length in zip(genomes.starts.tolist(), genomes.lengths.tolist(), strict=True)
        for position in range(start, start + length)
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Bacillus__subtilis_168__GCF_000009045.1.fna.gz", "Bacillus"),
        ("in__ner/Yersinia.fna", "Yersinia"),
        ("GCF_000009045.1_ASM904v1.fna.gz", "GCF_000009045.1_ASM904v1"),
        ("a.fasta.zst", "a"),
        ("a.fa.bgz", "a"),
        ("a.fa.bz2", "a"),
        ("a.fa.xz", "a"),
        ("two words.fa", "two words"),
        ("one_score.fa", "one_score"),
        ("__a.fa", "__a"),
        ("bare", "bare"),
    ],
)
def test_class_of(path: str, name: str) -> None:
    assert class_of(path) == name


def test_load(tmp_path: Path) -> None:
    second = written(tmp_path / "B__x.fa", ">b1\nACGTACNNACGTNACG\n>b2\nTTT\n>b3\nGGGGG\n")
    first = written(tmp_path / "A__x.fa", ">a\nCCCC\n")
    genomes = load_genomes([second, first], min_length=4)
    assert genomes.classes == ("A", "B")
    assert segments(genomes, 0) == ["CCCC"]
    assert segments(genomes, 1) == ["ACGTAC", "ACGT", "GGGGG"]
    assert genomes.starts.tolist() == [0, 6, 10, 15]
    assert genomes.labels.tolist() == [1, 1, 1, 0]
    assert genomes.codes.max() == 3
    assert [genomes.bases_of(label) for label in (0, 1)] == [4, 15]
    assert [(f.name, f.class_name, f.num_records, f.num_bases, f.usable_bases) for f in genomes.files] == [
        ("B__x.fa", "B", 3, 24, 15),
        ("A__x.fa", "A", 1, 4, 4),
    ]


def test_one_class_in_two_files(tmp_path: Path) -> None:
    paths = [written(tmp_path / "A__1.fa", ">a\nACGT\n"), written(tmp_path / "A__2.fa", ">a\nTTTT\n")]
    genomes = load_genomes(paths, min_length=4)
    assert genomes.classes == ("A",)
    assert segments(genomes, 0) == ["ACGT", "TTTT"]


def test_fingerprint(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    a = written(folders[0] / "A__x.fa", ">a1\nACGTACGTNACGT\n>a2\nGGGG\n")
    b = written(folders[0] / "B__x.fa", ">b\nTTTT\n")
    wrapped = folders[1] / "A__y.fna.gz"
    wrapped.write_bytes(gzip.compress(b">q\r\nacgu\r\nacgt\r\nracgt\r\n>r\r\nGG\r\nGG\r\n"))
    other_class = written(folders[1] / "C__x.fa", b.read_text())
    other_base = written(folders[1] / "A__z.fa", a.read_text().replace("GGGG", "GGGC"))
    one_record = written(folders[1] / "A__x.fa", ">a\nACGTACGTNACGTGGGG\n")

    def fingerprint(*paths: Path) -> str:
        return load_genomes(paths, min_length=4).fingerprint

    reference = fingerprint(a, b)
    assert len(reference) == 64
    assert fingerprint(wrapped, b) == reference
    assert fingerprint(b, a) != reference
    assert fingerprint(a, other_class) != reference
    assert fingerprint(other_base, b) != reference
    assert fingerprint(one_record, b) != reference


def test_classes_table(tmp_path: Path) -> None:
    a = written(tmp_path / "a.fa", ">a\nACGT\n")
    b = written(tmp_path / "b.fa", ">b\nTTTT\n")
    table = written(tmp_path / "classes.tsv", f"note\tclass\tfile\nx\tYersinia\ta.fa\n\tBacillus\t{b}\n")
    classes = read_classes(table)
    assert classes == {"a.fa": "Yersinia", str(b): "Bacillus"}
    genomes = load_genomes([a, b], min_length=4, classes=classes)
    assert genomes.classes == ("Bacillus", "Yersinia")
    assert segments(genomes, 1) == ["ACGT"]


def test_path_as_given_wins_over_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fa", ">a\nACGT\n")
    genomes = load_genomes([path], min_length=4, classes={"a.fa": "Name", str(path): "Path"})
    assert genomes.classes == ("Path",)


@pytest.mark.parametrize("table", [b"\xef\xbb\xbffile\tclass\na\tA\n", b"file\tclass\r\na\tA\r\n"])
def test_classes_table_from_a_spreadsheet(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "classes.tsv").write_bytes(table)
    assert read_classes(tmp_path / "classes.tsv") == {"a": "A"}


def test_blanks_around_a_class_are_not_of_it(tmp_path: Path) -> None:
    """As cells are pasted; of files, names may end with them."""
    table = written(tmp_path / "classes.tsv", "file\tclass\na.fa\tX\nb.fa \t X \n")
    assert read_classes(table) == {"a.fa": "X", "b.fa ": "X"}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"", "line 1: needs a header line with the columns 'file' and 'class'"),
        (b"a.fa\tA\n", "line 1: needs a header line with the columns 'file' and 'class'"),
        (b"file class\na A\n", "line 1: needs a header line with the columns 'file' and 'class'"),
        (b"file\tclass\na\tA\nb\t\n", "line 3: a row needs both a file and a class"),
        (b"file\tclass\na\tA\nb\n", "line 3: a row needs both a file and a class"),
        (b"file\tclass\na\tA\nb\tB\na\tB\n", "line 4: names 'a' twice"),
        (b"file\tclass\na\t\xe9\n", "is not a table of tab-separated text"),
    ],
)
def test_broken_classes_table(tmp_path: Path, table: bytes, problem: str) -> None:
    path = tmp_path / "classes.tsv"
    path.write_bytes(table)
    with pytest.raises(InputError) as caught:
        read_classes(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_load_errors(tmp_path: Path) -> None:
    path = written(tmp_path / "A__x.fa", ">a\nACGTNACGT\n")
    with pytest.raises(TrainingError, match="class 'A' has no stretch of 5 known bases"):
        load_genomes([path], min_length=5)
    with pytest.raises(InputError, match="is not named in the table of classes"):
        load_genomes([path], min_length=4, classes={"other.fa": "A"})
    with pytest.raises(InputError, match="no file name to take the class from; give --classes"):
        load_genomes(["-"], min_length=4)
    with pytest.raises(InputError, match="no such file"):
        load_genomes([path, tmp_path / "none.fa"], min_length=4)
    with pytest.raises(InputError, match="no such file"):
        read_classes(tmp_path / "none.tsv")


@pytest.fixture(scope="module")
def genomes(tmp_path_factory: pytest.TempPathFactory) -> Genomes:
    """Big has ten times the bases of Small; a run of N parts each contig."""
    folder = tmp_path_factory.mktemp("genomes")
    paths = []
    for number, (name, length) in enumerate((("Big", 1000), ("Small", 100))):
        records = {f"{name}{i}": uniform_codes(length, 10 * number + i) for i in range(2)}
        for codes in records.values():
            codes[length // 2 : length // 2 + 3] = 4
        paths.append(write_fasta(folder / f"{name}__toy.fa", records))
    return load_genomes(paths, min_length=30)


def origins(genomes: Genomes, codes: Codes, label: int) -> list[tuple[int, int]]:
    """Where a read occurs in the segments of a class: (number of the segment, position)."""
    letters = decode(codes)
    found = []
    for number, segment in enumerate(segments(genomes, label)):
        position = segment.find(letters)
        if position >= 0:
            found.append((number, position))
    return found


def test_sampled_reads_occur_in_their_class(genomes: Genomes) -> None:
    reads = ReadSampler(genomes, 30, [1]).sample(0, 2000)
    assert reads.codes.shape == (2000, 30)
    assert reads.codes.dtype == np.uint8
    num_forward = 0
    for codes, label in zip(reads.codes, reads.labels.tolist(), strict=True):
        forward = origins(genomes, codes, label)
        assert len(forward) + len(origins(genomes, reverse_complement(codes), label)) == 1
        num_forward += len(forward)
    assert num_forward == pytest.approx(1000, abs=3 * np.sqrt(500))


def test_sampling_is_uniform_over_classes_then_positions(genomes: Genomes) -> None:
    num_reads = 40_000
    reads = ReadSampler(genomes, 30, [2]).sample(0, num_reads)
    assert np.bincount(reads.labels).tolist() == pytest.approx([20_000] * 2, abs=5 * np.sqrt(num_reads / 4))
    for label, lengths in enumerate(([500, 497, 500, 497], [50, 47, 50, 47])):
        assert [len(segment) for segment in segments(genomes, label)] == lengths
        counts: Counter[tuple[int, int]] = Counter()
        for codes in reads.codes[reads.labels == label]:
            counts.update(
                origins(genomes, codes, label) or origins(genomes, reverse_complement(codes), label)
            )
        positions = [(i, j) for i, length in enumerate(lengths) for j in range(length - 30 + 1)]
        assert set(counts) == set(positions)
        expected = counts.total() / len(positions)
        chi_square = sum((counts[position] - expected) ** 2 / expected for position in positions)
        assert chi_square == pytest.approx(len(positions), abs=5 * np.sqrt(2 * len(positions)))


def test_reads_as_long_as_the_segment(tmp_path: Path) -> None:
    path = written(tmp_path / "A__x.fa", ">a\nAACGT\n>b\nAACC\n>c\nAAAAA\n")
    reads = ReadSampler(load_genomes([path], min_length=1), 5, [1]).sample(0, 100)
    assert {decode(codes) for codes in reads.codes} == {"AACGT", "ACGTT", "AAAAA", "TTTTT"}


def test_samples_depend_on_seed_and_step_only(genomes: Genomes) -> None:
    sampler = ReadSampler(genomes, 40, [1, 2])
    reference = sampler.sample(5, 50)
    sampler.sample(6, 10)
    again = ReadSampler(genomes, 40, [1, 2]).sample(5, 50)
    assert again.codes.tolist() == reference.codes.tolist()
    assert again.labels.tolist() == reference.labels.tolist()
    for other in (sampler.sample(6, 50), ReadSampler(genomes, 40, [1, 3]).sample(5, 50)):
        assert (other.codes != reference.codes).any()
        assert (other.labels != reference.labels).any()


def test_sampling_leaves_the_genomes_alone(genomes: Genomes) -> None:
    before = genomes.codes.copy()
    reads = ReadSampler(genomes, 40, [1]).sample(0, 200)
    reads.codes[:] = 0
    assert (genomes.codes == before).all()


def test_sampler_needs_long_enough_segments(genomes: Genomes) -> None:
    with pytest.raises(TrainingError, match="class 'Small' has no stretch of 51 known bases"):
        ReadSampler(genomes, 51, [1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_split(tmp_path: Path, fraction: float, seed: int) -> None:
    genomes = toy(tmp_path, A=[5000, 3000], B=[800] * 10, C=[20_000])
    training, held_out = split_held_out(genomes, fraction=fraction, read_length=50, seed=seed)
    kept, held, every = covered(training), covered(held_out), covered(genomes)
    assert max(kept.values()) == max(held.values()) == 1
    assert not kept.keys() & held.keys()
    lost = sorted(every.keys() - kept.keys() - held.keys())
    runs = np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1) if lost else []
    assert all(len(run) < 50 for run in runs)
    assert np.bincount(held_out.labels).min() >= 4
    for label in range(3):
        share = held_out.bases_of(label) / genomes.bases_of(label)
        assert share == pytest.approx(fraction, abs=fraction / 8)
    for part in (training, held_out):
        assert part.lengths.min() >= 50
        assert part.fingerprint == genomes.fingerprint
        inside = [
            any(whole.find(piece) >= 0 for whole in segments(genomes, label))
            for label in range(3)
            for piece in segments(part, label)
        ]
        assert all(inside)


def test_split_is_repeatable(tmp_path: Path) -> None:
    genomes = toy(tmp_path, A=[5000], B=[5000])

    def starts(seed: int) -> list[int]:
        held_out = split_held_out(genomes, fraction=0.1, read_length=50, seed=seed)[1]
        return held_out.starts.tolist()

    assert starts(1) == starts(1)
    assert len({tuple(starts(seed)) for seed in range(10)}) > 5


def test_split_holds_out_stretches_of_at_most_20_kb(tmp_path: Path) -> None:
    genomes = toy(tmp_path, A=[4_000_000])
    held_out = split_held_out(genomes, fraction=0.5, read_length=50, seed=1)[1]
    assert held_out.lengths.tolist() == [20_000] * 100


def test_split_holds_out_fifty_stretches(tmp_path: Path) -> None:
    genomes = toy(tmp_path, A=[1_000_000])
    held_out = split_held_out(genomes, fraction=0.1, read_length=50, seed=1)[1]
    assert held_out.lengths.tolist() == [2000] * 50


def test_independent_reads_by_hand(tmp_path: Path) -> None:
    """Of 100 bases: ten in A, five and two in the contigs of B; classes are drawn equally."""
    genomes = toy(tmp_path, A=[1000], B=[550, 250])
    assert genomes.independent_reads(100) == pytest.approx(4 / (1 / 10 + 1 / 7))
    assert genomes.independent_reads(500) == pytest.approx(4 / (1 / 2 + 1 / 1))
    assert genomes.independent_reads(551) == 0.0


def test_a_file_named_twice(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "A__x.fa", {"a": uniform_codes(100, 1)})
    with pytest.raises(InputError, match=r"A__x\.fa: is named twice"):
        load_genomes([path, path], min_length=10)


@pytest.mark.parametrize(("contig", "num_contigs"), [(10_000, 100), (3000, 100), (120, 100)])
def test_split_of_a_draft_genome(tmp_path: Path, contig: int, num_contigs: int) -> None:
    genomes = toy(tmp_path, A=[contig] * num_contigs)
    training, held_out = split_held_out(genomes, fraction=0.1, read_length=50, seed=1)
    assert held_out.bases_of(0) / genomes.bases_of(0) == pytest.approx(0.1, abs=0.01)
    assert not covered(training).keys() & covered(held_out).keys()


def test_split_of_the_shortest_class(tmp_path: Path) -> None:
    genomes = toy(tmp_path, A=[100])
    splits = [split_held_out(genomes, fraction=0.05, read_length=50, seed=seed) for seed in range(20)]
    assert {tuple(part.lengths.tolist()) for split in splits for part in split} == {(50,)}
    starts = {(training.starts[0], held_out.starts[0]) for training, held_out in splits}
    assert starts == {(0, 50), (50, 0)}
    with pytest.raises(TrainingError, match=r"class 'B' is too short to hold out .* 50 bases .* --val"):
        split_held_out(toy(tmp_path, A=[500], B=[99]), fraction=0.05, read_length=50, seed=1)
    with pytest.raises(TrainingError, match=r"class 'B' is too short"):
        split_held_out(toy(tmp_path, A=[500], B=[49, 49]), fraction=0.05, read_length=50, seed=1)


def test_cut_down_to_no_segments(genomes: Genomes) -> None:
    empty = genomes.with_segments([])
    assert empty.starts.shape == empty.lengths.shape == empty.labels.shape == (0,)
    assert empty.codes is genomes.codes


def test_classes_from_standard_input() -> None:
    with pytest.raises(InputError, match="standard input: is not taken as the table of classes"):
        read_classes("-")


def test_file_of_a_read(tmp_path: Path) -> None:
    paths = [
        write_fasta(tmp_path / name, {"r1": uniform_codes(100, seed), "r2": uniform_codes(50, seed + 10)})
        for seed, name in enumerate(["B__x.fa", "A__x.fa", "B__y.fa"])
    ]
    genomes = load_genomes(paths, min_length=20)
    assert genomes.file_ends.tolist() == [150, 300, 450]
    assert genomes.files_at(np.array([0, 149, 150, 299, 300, 449])).tolist() == [0, 0, 1, 1, 2, 2]
    reads = ReadSampler(genomes, 20, (0,)).sample(0, 200)
    assert set(zip(reads.labels.tolist(), reads.files.tolist(), strict=True)) == {(1, 0), (0, 1), (1, 2)}
    for codes, file in zip(reads.codes, reads.files, strict=True):
        text = "".join(paths[file].read_text().splitlines()[1:3])
        text += "".join(paths[file].read_text().splitlines()[4:])
        assert decode(codes) in text or decode(reverse_complement(codes[None])[0]) in text


def test_a_file_without_a_long_run_has_its_place(tmp_path: Path) -> None:
    long, short = write_fasta(tmp_path / "A__1.fa", {"r": uniform_codes(50, 1)}), tmp_path / "A__2.fa"
    write_fasta(short, {"r": uniform_codes(10, 2)})
    genomes = load_genomes([short, long], min_length=20)
    assert genomes.file_ends.tolist() == [0, 50]
    assert genomes.files_at(np.array([0, 49])).tolist() == [1, 1]


@pytest.mark.parametrize("split", [1, 2, 3])
def test_merged_is_loaded_at_once(tmp_path: Path, split: int) -> None:
    paths = [
        write_fasta(tmp_path / f"{name}__x.fa", {"r1": uniform_codes(60, seed), "r2": uniform_codes(30, 9)})
        for seed, name in enumerate(["M", "Z", "A", "M2"])
    ]
    whole = load_genomes(paths, min_length=20)
    merged = merge(load_genomes(paths[:split], min_length=20), load_genomes(paths[split:], min_length=20))
    assert (merged.classes, merged.files) == (whole.classes, whole.files)
    assert merged.fingerprint == whole.fingerprint
    for name in ("codes", "starts", "lengths", "labels", "file_ends"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


def test_merging_the_same_content(tmp_path: Path) -> None:
    first = toy(tmp_path, A=[100])
    again = write_fasta(tmp_path / "B__other.fa", {"x": uniform_codes(100, 0)}, width=33)
    with pytest.raises(TrainingError, match=r"B__other\.fa: is there already, as A__toy\.fa"):
        merge(first, load_genomes([again], min_length=20))


def test_the_same_content_twice(tmp_path: Path) -> None:
    """Whatever the records are called, and of whatever class the files are; empty files are alike for all."""
    codes = {"r1": uniform_codes(60, 1), "r2": uniform_codes(30, 2)}
    first = write_fasta(tmp_path / "A__gca.fa", codes)
    empty = [tmp_path / "A__empty.fa", tmp_path / "A__none.fa"]
    for path in empty:
        path.write_text("")
    for name in ("A__gcf", "B__gcf"):
        again = write_fasta(tmp_path / f"{name}.fa", dict(zip("xy", codes.values(), strict=True)), width=7)
        with pytest.raises(
            InputError, match=rf"{name}\.fa: holds the same sequences as .*A__gca\.fa; name one"
        ):
            load_genomes([first, again], min_length=20)
    other = write_fasta(tmp_path / "A__other.fa", {"r1": codes["r2"], "r2": codes["r1"]})
    assert len(load_genomes([first, other, *empty], min_length=20).files) == 4
