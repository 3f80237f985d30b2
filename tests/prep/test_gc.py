"""GC content of datasets and of tables of genomes, the figures, and the command."""

from __future__ import annotations

import gzip
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from prep.gc_tables import read_tsv, score_table
from small_disk import most_bytes_of_a_file

from data_prep.cli.gc import command
from data_prep.figures import _histogram
from data_prep.gc import (
    GcDistribution,
    dataset_gc,
    summary_rows,
    table_gc,
    write_gc,
)
from data_prep.gc_scores import (
    ScoredReads,
    read_score_tables,
    write_scores_gc,
)
from data_prep.table import read_genome_table
from genood.dataset import Dataset, Origins, create_dataset
from genood.errors import ConfigError, GenoodError, InputError
from genood.sequence import encode

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT.parent / "shared" / "data" / "manifest.tsv"

LABELS = ["level", "split", "class", "name"]
HEADER = [*LABELS, "num", "bases", "gc", "mean", "sd", "q05", "q25", "q50", "q75", "q95"]


def origins(*rows: tuple[str, str]) -> Origins:
    classes, accessions = zip(*rows, strict=True)
    return Origins(classes, accessions, np.arange(len(rows)), ["+"] * len(rows))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Reads of 4 bases: GC of 0, 1/2, 1, none, 2/3 in train_in, 1/4 in val_ood."""
    path = tmp_path / "dataset"
    with create_dataset(path, read_length=4, seed=0, sources=[]) as writer:
        reads = np.stack([encode(read) for read in ("ATTA", "ACGT", "GGCC", "NNNN", "GCAN")])
        rows = [("Beta", "b1"), ("Alpha", "a1"), ("Beta", "b1"), ("Beta", "b1"), ("Beta", "b2")]
        writer.add("train_in", reads, origins(*rows))
        writer.add("val_ood", np.stack([encode("ATTG")]), origins(("Gamma", "")))
    return path


def test_rows_of_a_dataset(dataset: Path) -> None:
    rows = list(summary_rows(dataset_gc(Dataset.load(dataset))))
    numbers = {row[:4]: row[4:] for row in rows}
    assert [row[:4] for row in rows] == [
        ("split", "train_in", "", ""),
        ("split", "val_ood", "", ""),
        ("class", "train_in", "Alpha", ""),
        ("class", "train_in", "Beta", ""),
        ("class", "val_ood", "Gamma", ""),
        ("genome", "train_in", "Alpha", "a1"),
        ("genome", "train_in", "Beta", "b1"),
        ("genome", "train_in", "Beta", "b2"),
    ]
    # 0 and 1; the read without a known base does not count. Over bases 4 of 8.
    sd = f"{np.sqrt(0.5):.6g}"
    assert numbers["genome", "train_in", "Beta", "b1"] == (
        *("2", "8", "0.5", "0.5", sd),
        *("0.05", "0.25", "0.5", "0.75", "0.95"),
    )
    assert numbers["genome", "train_in", "Beta", "b2"][:5] == ("1", "3", "0.666667", "0.666667", "")
    # 0, 1 and 2/3 over 6 of 11 bases, and their mean.
    assert numbers["class", "train_in", "Beta", ""][:4] == ("3", "11", "0.545455", "0.555556")
    assert numbers["split", "train_in", "", ""][:4] == ("4", "15", "0.533333", "0.541667")
    assert numbers["split", "val_ood", "", ""][:4] == ("1", "4", "0.25", "0.25")


@pytest.mark.parametrize("name", ["train_in.npy", "val_ood.tsv.gz"])
def test_a_damaged_dataset(dataset: Path, tmp_path: Path, name: str) -> None:
    path = dataset / name
    content = bytearray(path.read_bytes())
    content[-1 if name.endswith("npy") else 9] ^= 1  # of gzip, the system that it was made on
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: differs from the sha256 in dataset.json; copy"):
        write_gc(str(dataset), str(tmp_path / "o.tsv"))
    assert not (tmp_path / "o.tsv").exists()


def test_statistics_are_those_of_numpy() -> None:
    generator = np.random.default_rng(0)
    known = generator.integers(0, 30, size=5000)
    strong = generator.binomial(known, 0.3)
    parts = [GcDistribution.of(strong[i::3], known[i::3], np.ones(len(strong[i::3]), int)) for i in range(3)]
    joined = GcDistribution.joined(parts)
    values = strong[known > 0] / known[known > 0]
    assert joined.num == len(values)
    assert len(joined.counts) < 500
    assert joined.mean() == pytest.approx(values.mean())
    assert joined.deviation() == pytest.approx(values.std(ddof=1))
    levels = [0.0, 0.05, 0.111, 0.25, 0.5, 0.75, 0.95, 1.0]
    np.testing.assert_allclose(joined.quantiles(levels), np.quantile(values, levels))


def test_no_sequence_has_no_statistics() -> None:
    none = GcDistribution.of(np.array([0]), np.array([0]), np.array([5]))
    assert none.num == 0
    assert np.isnan([none.mean(), none.deviation(), *none.quantiles([0.5])]).all()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two genomes, of which the first has 3 windows of 4 bases: of GC 1/4, 1 and 0."""
    (tmp_path / "one.fna").write_text(">a\nACTTGGCCNCGCN\n>b\nTTTTCC\n>c\nRS\n")
    (tmp_path / "two.fna").write_text(">a\nACG\n")
    path = tmp_path / "table.tsv"
    path.write_text("file\tclass\tsplit\none.fna\tBeta\tval_ood\ntwo.fna\tAlpha\ttrain_in\n")
    return path


def test_rows_of_a_table(table: Path) -> None:
    rows = list(summary_rows(table_gc(read_genome_table(table), window=4)))
    assert [row[:4] for row in rows] == [
        ("split", "train_in", "", ""),
        ("split", "val_ood", "", ""),
        ("class", "train_in", "Alpha", ""),
        ("class", "val_ood", "Beta", ""),
        ("genome", "train_in", "Alpha", "two.fna"),
        ("genome", "val_ood", "Beta", "one.fna"),
    ]
    # GC over all 17 known bases: ACTTGGCC 5, CGC 3, TTTTCC 2.
    assert rows[-1][4:8] == ("3", "17", "0.588235", "0.416667")
    assert rows[-1][11] == "0.25"
    # No window, but a genome.
    assert rows[-2][4:] == ("0", "3", "0.666667", *[""] * 7)


def test_files_written(dataset: Path, tmp_path: Path) -> None:
    output, reads = tmp_path / "gc.tsv", tmp_path / "reads.tsv.gz"
    write_gc(str(dataset), str(output), reads_output=str(reads))
    rows = read_tsv(output)
    assert rows[0] == HEADER
    assert [tuple(row) for row in rows[1:]] == list(summary_rows(dataset_gc(Dataset.load(dataset))))
    with gzip.open(reads, "rt") as stream:
        lines = stream.read().splitlines()
    assert lines[0] == "read_id\tsplit\tclass\taccession\tstart\tstrand\tgc"
    assert lines[1:3] == [
        "train_in:0\ttrain_in\tBeta\tb1\t0\t+\t0",
        "train_in:1\ttrain_in\tAlpha\ta1\t1\t+\t0.5",
    ]
    assert [line.split("\t")[-1] for line in lines[3:]] == ["1", "", "0.666667", "0.25"]
    plain = tmp_path / "reads.tsv"
    write_gc(str(dataset), "/dev/null", reads_output=str(plain))
    assert plain.read_text().splitlines() == lines
    before = reads.read_bytes()
    write_gc(str(dataset), "/dev/null", reads_output=str(reads))
    assert reads.read_bytes() == before


@pytest.mark.parametrize("name", ["reads.tsv", "reads.tsv.gz"])
def test_reads_that_do_not_fit_the_disk(dataset: Path, tmp_path: Path, name: str) -> None:
    with (
        most_bytes_of_a_file(50),
        pytest.raises(InputError, match=rf"/{name}: cannot be written \(File too large"),
    ):
        write_gc(str(dataset), str(tmp_path / "gc.tsv"), reads_output=str(tmp_path / name))
    assert list(tmp_path.iterdir()) == [dataset]


def test_options_that_do_not_go_together(dataset: Path, table: Path, tmp_path: Path) -> None:
    data, genomes, other = str(dataset), str(table), str(tmp_path / "o")
    with pytest.raises(ConfigError, match="--genomes and --length go with a table"):
        write_gc(data, other, window=100)
    with pytest.raises(ConfigError, match="--reads-out goes with a dataset"):
        write_gc(genomes, other, reads_output=str(tmp_path / "r"))
    with pytest.raises(ConfigError, match="at least 1 base, not 0"):
        write_gc(genomes, other, window=0)
    with pytest.raises(ConfigError, match=r"a figure is named \.svg, \.pdf or \.png"):
        write_gc(genomes, other, figure=str(tmp_path / "f.jpg"))
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_gc(genomes, genomes)
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_gc(genomes, str(tmp_path / "one.fna"))
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_gc(data, str(dataset / "train_in.npy"))
    with pytest.raises(InputError, match=r"is not a dataset"):
        write_gc(str(tmp_path), other)
    assert not Path(other).exists()


def test_gc_of_real_genomes(tmp_path: Path) -> None:
    """That of the manifest, which gives it to 4 digits."""
    if not MANIFEST.is_file():
        pytest.skip(f"no real genomes: {MANIFEST} is missing")
    manifest = pd.read_csv(MANIFEST, sep="\t")
    some = manifest[(manifest["split"] == "train_in") & (manifest["part"] == "whole")].iloc[::5]
    path = tmp_path / "some.tsv"
    some.to_csv(path, sep="\t", index=False)
    genomes = table_gc(read_genome_table(path, genomes=MANIFEST.parent), window=250)
    found = {genome.name: genome for genome in genomes}
    assert len(found) == len(some) > 4
    for file, gc, num_bases in zip(some["file"], some["gc"], some["bp"], strict=True):
        genome = found[file]
        assert genome.strong / genome.known == pytest.approx(gc, abs=0.51e-4)
        assert 0.98 * num_bases <= 250 * genome.distribution.num <= genome.known <= num_bases


def test_bins_hold_their_lower_edge() -> None:
    gc = np.array([0.0, 0.05, 0.15, 0.3, 0.35, 0.9999, 1.0])
    bins = ScoredReads("x", gc, np.arange(7.0), np.full(7, np.nan)).in_bins()
    assert np.flatnonzero(bins.counts).tolist() == [0, 1, 3, 6, 7, 19]
    assert bins.counts[19] == 2
    assert bins.log_likelihood[19] == 5.5
    assert np.isnan(bins.llr).all()
    assert np.isnan(bins.log_likelihood[2])


@pytest.mark.parametrize("length", [4, 36, 100, 151, 250])
def test_no_bin_of_the_figure_holds_more_values_than_another(length: int) -> None:
    every = np.arange(length)
    distribution = GcDistribution(every, np.full(length, length), np.ones(length, int))
    values_of_bin = max(1, round(0.02 * length))
    shares, edges = _histogram(distribution, length, values_of_bin)
    np.testing.assert_allclose(shares[:-1], values_of_bin / length)
    assert shares.sum() == pytest.approx(1.0)
    assert len(edges) == len(shares) + 1
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    all_strong = GcDistribution(np.array([3]), np.array([3]), np.array([2]))
    assert _histogram(all_strong, length, values_of_bin)[0][-1] == 1.0


def test_figure_without_windows(table: Path, tmp_path: Path) -> None:
    write_gc(str(table), "/dev/null", window=100, figure=str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").stat().st_size > 0


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_figures_are_the_same_each_time(dataset: Path, tmp_path: Path, kind: str) -> None:
    generator = np.random.default_rng(0)
    paths = []
    for side in ("in", "ood"):
        rows = [(gc, 10, -13 + gc, 0.1 * gc) for gc in generator.random(100).round(2).tolist()]
        paths.append(str(score_table(tmp_path / f"{side}.tsv", rows)))
    magic = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[kind]
    for draw in (
        lambda figure: write_gc(str(dataset), "/dev/null", figure=figure),
        lambda figure: write_scores_gc(read_score_tables(paths), "/dev/null", figure=figure),
    ):
        figures = [tmp_path / f"{number}.{kind}" for number in range(2)]
        for figure in figures:
            draw(str(figure))
        first, second = (figure.read_bytes() for figure in figures)
        assert first.startswith(magic)
        assert first == second


def test_command(dataset: Path, tmp_path: Path) -> None:
    scores = score_table(tmp_path / "s.tsv", [(0.5, 10, -10, 0.1)])
    figure, table = tmp_path / "f.svg", tmp_path / "scores_gc.tsv"
    program = Path(sys.executable).with_name("genood-prep")
    line = [program, "gc", dataset, "--figure", figure, "--scores", scores, "--scores-out", table]
    result = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].split("\t") == HEADER
    assert "train_in" in figure.read_text()
    assert len(read_tsv(table)) == 1 + 3


@pytest.fixture
def invoke() -> Iterator[Callable[..., Result]]:
    """Run the command in this process."""
    logger = logging.getLogger("genood")
    level = logger.level
    yield lambda *arguments: CliRunner().invoke(command, [*map(str, arguments)])
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-q"], "Name a dataset"),
        (["--scores", "s.tsv", "--figure", "f.svg"], "go with a DATASET or TABLE"),
        (["table.tsv", "--scores-figure", "f.svg"], "go with --scores"),
        (["table.tsv", "--length", "0"], "0 is not in the range 1<=x<=10000000"),
    ],
)
def test_usage(invoke: Callable[..., Result], arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_tables_need_two_names(invoke: Callable[..., Result], dataset: Path, tmp_path: Path) -> None:
    scores = score_table(tmp_path / "s.tsv", [(0.5, 10, -10, 0.1)])
    result = invoke(dataset, "--scores", scores)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("standard output: two outputs have the same name")
    assert result.stdout == ""


def test_nothing_is_written_if_something_cannot_be(
    invoke: Callable[..., Result], dataset: Path, tmp_path: Path
) -> None:
    output, nowhere = tmp_path / "o.tsv", tmp_path / "none"
    scores = score_table(tmp_path / "s.tsv", [(0.5, 10, -10, 0.1)])
    with_scores = [dataset, "-o", output, "--scores", scores]
    for arguments, message in [
        ([dataset, "-o", output, "--figure", nowhere / "f.svg"], "its directory .* does not exist"),
        ([dataset, "-o", output, "--reads-out", nowhere / "r.tsv"], "its directory .* does not exist"),
        ([*with_scores, "--scores-out", nowhere / "x.tsv"], "its directory .* does not exist"),
        ([*with_scores, "--scores-figure", nowhere / "f.svg"], "its directory .* does not exist"),
        ([*with_scores, "--scores-figure", tmp_path / "f.jpg"], r"a figure is named \.svg"),
        ([*with_scores, "--scores", nowhere / "s.tsv"], "no such file"),
        ([*with_scores, "--scores-out", dataset / "train_in.npy"], "both an input and an output"),
    ]:
        result = invoke(*arguments)
        assert isinstance(result.exception, GenoodError)
        assert re.search(message, str(result.exception))
        assert result.stdout == ""
        assert {path.name for path in tmp_path.iterdir()} == {"dataset", "s.tsv"}


def test_reads_on_standard_output(
    invoke: Callable[..., Result], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(dataset, "-o", tmp_path / "o.tsv", "--reads-out", "-")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert (lines[1], len(lines)) == ("train_in:0\ttrain_in\tBeta\tb1\t0\t+\t0", 1 + 6)
    assert {path.name for path in tmp_path.iterdir()} == {"dataset", "o.tsv"}
    result = invoke(dataset, "--reads-out", "-")
    assert str(result.exception).startswith("standard output: two outputs have the same name")


@pytest.mark.parametrize("name", ["output", "reads_output"])
def test_standard_output_that_takes_nothing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments = {"output": "/dev/null", name: "-"}
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InputError, match="standard output: is closed; name a file"):
        write_gc(str(dataset), **arguments)
    full = Path("/dev/full").open("w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(InputError, match=r"standard output: cannot be written \(No space left"):
        write_gc(str(dataset), **arguments)
    with suppress(OSError):
        full.close()


def test_command_without_the_package_for_figures(table: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from data_prep.cli import main; main()"
    line = [sys.executable, "-c", code, "gc", str(table), "-o", str(tmp_path / "o.tsv")]
    assert subprocess.run(line, timeout=120).returncode == 0
    line += ["--figure", str(tmp_path / "f.svg")]
    result = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stderr == (
        "genood-prep: error: this needs the package matplotlib: install genood with its extra prep\n"
    )
