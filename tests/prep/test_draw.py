"""Which windows are drawn: as likely as they should be, and decided by nothing but seed and names."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, chisquare

from data_prep.draw import ClassGenomes, DrawConfig, by_class
from data_prep.table import GenomeRow
from data_prep.windows import WindowCount
from genood.errors import ConfigError


def row(file: str, class_name: str = "Alpha", split: str = "train_in") -> GenomeRow:
    return GenomeRow(file, Path("folder") / file, class_name, split, 2)


def counted(num_windows: int) -> WindowCount:
    return WindowCount(num_records=1, num_bases=num_windows + 3, num_windows=num_windows, sha256="")


def alpha(num_windows: list[int], num_wanted: int) -> ClassGenomes:
    return ClassGenomes(
        split="train_in",
        class_name="Alpha",
        rows=[row(f"{number}.fna") for number in range(len(num_windows))],
        counts=[counted(number) for number in num_windows],
        num_wanted=num_wanted,
    )


def test_all_sets_of_windows_are_as_likely() -> None:
    genomes = alpha([2, 0, 4], 3)
    sets = Counter(tuple(genomes.draw(seed).windows.tolist()) for seed in range(3000))
    assert set(sets) == set(combinations(range(6), 3))
    assert 0.001 < chisquare(list(sets.values())).pvalue < 0.999


@pytest.mark.parametrize("num_reads", [500, 3_000, 20_000], ids=["few", "many", "most"])
def test_windows_are_uniform(num_reads: int) -> None:
    """NumPy draws few, many and most of a population in different ways."""
    genomes = alpha([9_000, 1, 20_000, 999], num_reads)
    windows = genomes.draw(0).windows
    assert (np.diff(windows) > 0).all()
    assert len(windows) == num_reads
    observed = np.histogram(windows, bins=50, range=(0, 30_000))[0]
    # Drawn without replacement, counts vary less than those of independent draws.
    statistic = ((observed - num_reads / 50) ** 2 / (num_reads / 50)).sum()
    pvalue = chi2(49).sf(statistic * (30_000 - 1) / (30_000 - num_reads))
    assert 0.001 < pvalue < 0.999


def test_strands_are_as_likely() -> None:
    reverse = alpha([50_000], 20_000).draw(0).reverse
    assert binomtest(int(reverse.sum()), 20_000).pvalue > 0.001
    changes = int((reverse[1:] != reverse[:-1]).sum())
    assert binomtest(changes, 19_999).pvalue > 0.001


def test_buckets_are_as_likely_and_change_nothing_else() -> None:
    genomes = alpha([50_000], 20_000)
    draw = genomes.draw(0, num_buckets=7)
    assert 0.001 < chisquare(np.bincount(draw.buckets, minlength=7)).pvalue < 0.999
    other = genomes.draw(0, num_buckets=3)
    assert np.array_equal(draw.windows, other.windows)
    assert np.array_equal(draw.reverse, other.reverse)


def test_parts_by_hand() -> None:
    genomes = alpha([3, 0, 2, 4], 9)
    parts = [
        (part.row.file, part.first_window, part.part.start, part.part.stop)
        for part in genomes.parts(genomes.draw(0))
    ]
    assert parts == [("0.fna", 0, 0, 3), ("1.fna", 3, 3, 3), ("2.fna", 3, 3, 5), ("3.fna", 5, 5, 9)]


def test_all_windows_where_there_are_no_more() -> None:
    genomes = alpha([3, 4], 100)
    assert (genomes.num_reads, genomes.num_windows, genomes.num_bases) == (7, 7, 13)
    assert genomes.draw(5).windows.tolist() == list(range(7))


def test_names_and_seed_decide() -> None:
    config = DrawConfig(reads_per_class=50)

    def windows(seed: int, class_name: str, split: str) -> tuple[int, ...]:
        (genomes,) = by_class([row("a.fna", class_name, split)], [counted(10_000)], config)
        return tuple(genomes.draw(seed).windows.tolist())

    draws = {
        windows(seed, name, split)
        for seed in (0, 1)
        for name in ("Alpha", "Beta")
        for split in ("train_in", "val_in")
    }
    assert len(draws) == 8
    assert windows(1, "Beta", "val_in") in draws


def test_the_draw_stays_what_it_is() -> None:
    """A dataset can be made again from its seed, so that these must not change between versions."""
    draw = alpha([1000, 2000], 6).draw(0)
    assert draw.windows.tolist() == [247, 593, 685, 917, 2377, 2702]
    assert draw.reverse.tolist() == [False, True, True, False, False, False]


def test_classes_and_genomes_are_sorted() -> None:
    rows = [
        row("z.fna", "Beta", "val_ood"),
        row("y/b.fna", "Gamma"),
        row("z/a.fna", "Gamma"),
        row("x.fna"),
        row("w.fna", "Alpha", "val_ood"),
    ]
    config = DrawConfig(reads_per_class=10, split_reads={"val_ood": 4})
    classes = by_class(rows, [counted(number) for number in range(5)], config)
    assert [(each.split, each.class_name, each.num_wanted) for each in classes] == [
        ("train_in", "Alpha", 10),
        ("train_in", "Gamma", 10),
        ("val_ood", "Alpha", 4),
        ("val_ood", "Beta", 4),
    ]
    assert [each.file for each in classes[1].rows] == ["z/a.fna", "y/b.fna"]
    assert [each.num_windows for each in classes[1].counts] == [2, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"read_length": 0}, "length of a read must be at least 1, not 0"),
        ({"reads_per_class": 0}, "number of reads of a class must be at least 1, not 0"),
        ({"split_reads": {"val_in": -1}}, "number of reads of a class must be at least 1, not -1"),
        ({"split_reads": {"val": 1}}, "there is no split 'val'; the splits are train_in, "),
        ({"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_bad_configuration(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DrawConfig(**options)  # type: ignore[arg-type]
