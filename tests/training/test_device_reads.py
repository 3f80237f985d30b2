"""Reads drawn by torch, from genomes of four bases a byte: which, how often, and in parts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import genomes_of, markov_codes, uniform_codes, write_fasta

from genood.reference.genomes import Genomes
from genood.reference.index import load_index, write_index
from genood.reference.sampling import ReadSampler
from genood.sequence import Codes, decode, reverse_complement
from genood.training import device_reads
from genood.training.device_reads import DeviceSampler, HostCodes, PackedCodes, holds, mutate_on_device
from genood.training.draws import key_of

CPU = torch.device("cpu")
LENGTH = 12
STEP, AGAIN = 4, (1,)


@pytest.fixture(scope="module")
def genomes() -> Genomes:
    """Two classes; one has two genomes, of which one is as long as a read."""
    return genomes_of(
        [("A", uniform_codes(40, 1)), ("B", uniform_codes(LENGTH, 2)), ("B", uniform_codes(30, 3))]
    )


def sampler_of(genomes: Genomes, held: bool) -> DeviceSampler:
    store = PackedCodes(genomes.codes, CPU) if held else HostCodes(genomes.codes)
    return DeviceSampler(ReadSampler(genomes, LENGTH, (3, 4)), store)


@pytest.mark.parametrize("number", [0, 1, 7, 8, 21])
def test_packed_codes_are_the_codes(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed eight at a time."""
    monkeypatch.setattr(device_reads, "_PACKED_AT_ONCE", 8)
    codes = uniform_codes(number, 1)
    places = torch.arange(number).flip(0)
    assert PackedCodes(codes, CPU).at(places).tolist() == codes[::-1].tolist()


def test_packed_codes_by_hand() -> None:
    """C G T A: 1 + 2·4 + 3·16 + 0·64."""
    assert PackedCodes(np.array([1, 2, 3, 0], dtype=np.uint8), CPU)._packed.tolist() == [57]


def test_reads_are_those_that_numpy_finds(genomes: Genomes) -> None:
    """Drawn with unsigned integers, and looked up read by read."""
    reads = sampler_of(genomes, held=True).reads(STEP, torch.arange(200), *AGAIN)
    places = ReadSampler(genomes, LENGTH, (3, 4)).places
    key = np.array(key_of(3, 4, STEP, *AGAIN)).view(np.uint64)
    for number in range(200):
        label_bits, place_bits = (bits_of(key, 2 * number + i) for i in range(2))
        label = int(label_bits >> 32) * 2 >> 32
        place = int((place_bits >> 11) * 2.0**-53 * int(places.num_of_class[label]))
        place += int(places.first_of_class[label])
        segment = next(i for i, end in enumerate(places.ends) if place < end)
        start = place + int(places.shifts[segment])
        codes: Codes = genomes.codes[start : start + LENGTH]
        expected = reverse_complement(codes) if label_bits & 1 else codes
        assert reads.codes[number].tolist() == expected.tolist()
        assert int(reads.labels[number]) == label


def bits_of(key: np.ndarray, place: int) -> int:
    """SplitMix64, in Python's integers."""
    bits = (int(key) + place * 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
    return bits ^ bits >> 31


def test_genomes_held_or_looked_up_give_the_same_reads(genomes: Genomes) -> None:
    numbers = torch.arange(100)
    held, looked_up = (sampler_of(genomes, held).reads(7, numbers) for held in (True, False))
    assert torch.equal(held.codes, looked_up.codes)
    assert torch.equal(held.labels, looked_up.labels)


def test_an_index_that_is_mapped_gives_the_same_reads(tmp_path: Path) -> None:
    """Mapped memory cannot be written to, which torch would warn of."""
    path = write_fasta(tmp_path / "A__x.fna", {"one": markov_codes(500, 1)})
    write_index([str(path)], tmp_path / "index")
    mapped = load_index(tmp_path / "index", min_length=LENGTH)
    held, looked_up = (sampler_of(mapped, held).reads(7, torch.arange(50)) for held in (True, False))
    assert torch.equal(held.codes, looked_up.codes)


def test_reads_depend_on_their_number_step_and_seed_alone(genomes: Genomes) -> None:
    sampler = sampler_of(genomes, held=True)
    whole = sampler.reads(1, torch.arange(60))
    part = sampler.reads(1, torch.arange(20, 50))
    assert torch.equal(part.codes, whole.codes[20:50])
    for other in (sampler.reads(2, torch.arange(60)), sampler.reads(1, torch.arange(60), 1)):
        assert not torch.equal(other.codes, whole.codes)
        assert not torch.equal(other.labels, whole.labels)


def test_classes_places_and_strands_are_uniform(genomes: Genomes) -> None:
    """29 places of A; 1 and 19 of B; each on two strands. Within five deviations."""
    number = 40_000
    reads = sampler_of(genomes, held=True).reads(0, torch.arange(number))
    sources = {}
    for start, length, label in zip(genomes.starts, genomes.lengths, genomes.labels, strict=True):
        for place in range(start, start + length - LENGTH + 1):
            codes = genomes.codes[place : place + LENGTH]
            sources[decode(codes)] = sources[decode(reverse_complement(codes))] = "AB"[label]
    assert Counter(sources.values()) == {"A": 58, "B": 40}
    counts = Counter(decode(codes) for codes in reads.codes.numpy())
    assert set(counts) == set(sources)
    for name, num_places in (("A", 58), ("B", 40)):
        mine = {read: count for read, count in counts.items() if sources[read] == name}
        assert sum(mine.values()) == pytest.approx(number / 2, abs=5 * np.sqrt(number / 4))
        expected = sum(mine.values()) / num_places
        chi_square = sum((count - expected) ** 2 / expected for count in mine.values())
        assert chi_square == pytest.approx(num_places - 1, abs=5 * np.sqrt(2 * num_places))


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_mutations(rate: float) -> None:
    """So many bases become one of the three others, each as often as the others."""
    codes = torch.from_numpy(uniform_codes(100_000, 1).reshape(1000, 100))
    mutated = mutate_on_device(codes, rate, key_of(1), torch.arange(1000))
    assert mutated.dtype == torch.uint8
    number = int((mutated != codes).sum())
    assert number == pytest.approx(rate * 100_000, abs=5 * np.sqrt(100_000 * rate * (1 - rate)))
    for step in (1, 2, 3):
        became = int(((mutated.int() - codes.int()) % 4 == step).sum())
        assert became == pytest.approx(number / 3, abs=5 * np.sqrt(number / 4))


def test_mutations_depend_on_the_reads_number_alone() -> None:
    codes = torch.zeros((50, 30), dtype=torch.uint8)
    whole = mutate_on_device(codes, 0.3, 9, torch.arange(50))
    part = mutate_on_device(codes[:20], 0.3, 9, torch.arange(10, 30))
    assert torch.equal(part, whole[10:30])
    assert not torch.equal(mutate_on_device(codes, 0.3, 8, torch.arange(50)), whole)


def test_a_gpu_holds_what_takes_a_quarter_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """45 Gbp are 11.25 GB, a byte for four bases: held in 80 GB, not in 40."""

    class Properties:
        total_memory = 80 * 10**9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    gpu = torch.device("cuda")
    assert holds(gpu, 45 * 10**9)
    Properties.total_memory = 40 * 10**9
    assert not holds(gpu, 45 * 10**9)
    assert not holds(CPU, 10)
