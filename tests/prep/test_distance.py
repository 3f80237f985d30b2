"""d2S: worked out by hand, against a plain reference, on real sequences; and its command."""

from __future__ import annotations

import gzip
import itertools
import math
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from data_prep import distance
from data_prep.cli.distance import command as cli_command
from data_prep.distance import (
    Genome,
    class_distances,
    d2s,
    find_genomes,
    genome_distances,
    write_distances,
)
from data_prep.words import WordModel, profile_of
from genood.errors import ConfigError, InputError
from genood.readers import read_file
from genood.sequence import Codes, decode, encode, reverse_complement

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SHARED_GENOMES = ROOT.parent / "shared" / "data" / "genomes"


def profiles(model: WordModel, *genomes: list[Codes]) -> np.ndarray:
    found = [profile_of(records, model) for records in genomes]
    return np.stack([profile for profile in found if profile is not None])


def random_codes(length: int, seed: int, *, unknown: float = 0.0) -> Codes:
    generator = np.random.default_rng(seed)
    codes = generator.choice(4, size=length, p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    codes[generator.random(length) < unknown] = 4
    return codes


def test_profile_by_hand_order_0() -> None:
    # AAC and GTT hold the words AA AC GT TT, n = 4; A and T have 1/3, C and G 1/6. Expected of each word
    # of two weak bases is 4/9, of a mixed one 2/9, of two strong ones 1/9.
    # Words: AA AC AG AT CA CC CG GA GC TA; those that are not their own reverse complement count twice.
    profile = profile_of([encode("AAC")], WordModel(k=2, order=0))
    assert profile is not None
    np.testing.assert_allclose(9 * profile, [10, 14, -4, -4, -4, -2, -1, -4, -1, -4], atol=1e-5)


def test_profile_by_hand_order_1() -> None:
    # AACC and GGTT: AA AC CC GG GT TT, so P(A A) = P(A C) = P(G G) = P(G T) = 1/2, P(C C) = P(T T) = 1.
    # P(AAC) = 1/3 1/2 1/2 and of GTT 1/3 1/2 1, so 1/8 on average, of n = 4 words; ACC likewise.
    # P(AAA) = 1/3 1/4 and of TTT 1/6; CCC likewise. No other word has a chance.
    profile = profile_of([encode("AACC")], WordModel(k=3, order=1))
    assert profile is not None
    words = ["".join(word) for word in itertools.product("ACGT", repeat=3)]
    words = [word for word in words if word <= decode(reverse_complement(encode(word)))]
    by_word = {word: value for word, value in zip(words, profile.tolist(), strict=True) if value}
    assert by_word == pytest.approx({"AAC": 1.0, "ACC": 1.0, "AAA": -1.0, "CCC": -1.0})


def test_d2s_by_hand() -> None:
    # Of AAC as above, in ninths: 10, 14, -4, -4, -4, -2, -1, -4, -1, -4.
    # ACG and CGT hold AC CG CG GT; A and T have 1/6, C and G 1/3. In ninths:
    # -2, 14, -4, -1, -4, -8, 14, -4, -4, -1.
    a, b, c, d = (math.sqrt(n) for n in (104, 2, 17, 197))
    product = -20 / a + 26 / b + 20 / c - 14 / d
    first = 100 / a + 26 / b + 35 / c + 1 / d
    second = 4 / a + 26 / b + 50 / c + 196 / d
    by_hand = 0.5 * (1 - product / math.sqrt(first * second))
    assert by_hand == pytest.approx(0.2503282, abs=1e-7)
    both = profiles(WordModel(k=2, order=0), [encode("AAC")], [encode("ACG")])
    np.testing.assert_allclose(d2s(both), [[0, by_hand], [by_hand, 0]], atol=1e-7)


def plain_d2s(first: list[Codes], second: list[Codes], k: int, order: int) -> float:
    """Written from the definition, word by word, over all words of both strands."""
    centred = []
    for records in (first, second):
        strands = [decode(strand) for codes in records for strand in (codes, reverse_complement(codes))]
        counts, chain = (
            Counter(s[i : i + size] for s in strands for i in range(len(s) - size + 1))
            for size in (k, order + 1)
        )
        counts, chain = (Counter({w: n for w, n in c.items() if "N" not in w}) for c in (counts, chain))
        context: Counter[str] = Counter()
        for word, number in chain.items():
            context[word[:-1]] += number

        def probability(word: str, chain: Counter[str] = chain, context: Counter[str] = context) -> float:
            value = context[word[:order]] / context.total()
            for i in range(order, k):
                if context[word[i - order : i]]:
                    value *= chain[word[i - order : i + 1]] / context[word[i - order : i]]
            return value

        n = counts.total()
        centred.append(
            {
                w: counts[w] - n * (probability(w) + probability(decode(reverse_complement(encode(w))))) / 2
                for w in map("".join, itertools.product("ACGT", repeat=k))
            }
        )
    x, y = centred
    s = {w: math.hypot(x[w], y[w]) for w in x if x[w] or y[w]}
    product, of_x, of_y = (sum(p[w] * q[w] / s[w] for w in s) for p, q in ((x, y), (x, x), (y, y)))
    return 0.5 * (1 - product / math.sqrt(of_x * of_y))


@pytest.mark.parametrize(("k", "order"), [(2, 0), (3, 0), (3, 1), (4, 2), (5, 3)])
def test_against_the_definition(k: int, order: int) -> None:
    first = [random_codes(300, 1, unknown=0.01), random_codes(40, 2), encode("ACNNA"), encode("A")]
    second = [random_codes(200, 3, unknown=0.02)]
    found = d2s(profiles(WordModel(k=k, order=order), first, second))[0, 1]
    assert found == pytest.approx(plain_d2s(first, second, k, order), abs=1e-6)


def test_symmetry_range_and_itself() -> None:
    genomes = [[random_codes(3000, seed)] for seed in range(5)]
    found = d2s(profiles(WordModel(), *genomes, genomes[0]))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0.0)
    assert found[0, 5] == pytest.approx(0.0, abs=1e-12)
    others = found[np.triu_indices(5, 1)]
    assert others.min() > 0.05
    assert others.max() < 1.0


def test_strands_and_order_of_contigs_do_not_matter() -> None:
    contigs = [random_codes(500, 1), random_codes(80, 2, unknown=0.05), random_codes(700, 3)]
    turned = [contigs[2], reverse_complement(contigs[0]), reverse_complement(contigs[1])]
    model = WordModel(k=5, order=2)
    first, second = profiles(model, contigs, turned)
    np.testing.assert_array_equal(first, second)


def test_words_do_not_cross_unknown_bases_or_contigs() -> None:
    model = WordModel(k=3, order=1)
    apart, unknown = profiles(model, [encode("ACGTA"), encode("TTGCA")], [encode("ACGTANTTGCA")])
    np.testing.assert_array_equal(apart, unknown)
    (joined,) = profiles(model, [encode("ACGTATTGCA")])
    assert not np.array_equal(apart, joined)
    assert profile_of([encode("AC"), encode("ACNGT")], model) is None


def test_nothing_to_compare() -> None:
    # A genome whose counts are what its background expects.
    (other,) = profiles(WordModel(k=2, order=0), [encode("ACCG")])
    found = d2s(np.stack([np.zeros_like(other), other]))
    assert np.isnan(found[0, 1])
    np.testing.assert_array_equal(np.diag(found), 0.0)


def test_threads_parts_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genomes = []
    for seed in range(4):
        path = tmp_path / f"{seed}.fasta"
        path.write_text(f">a\n{decode(random_codes(5000, seed))}\n")
        genomes.append(Genome(str(path), path.name, "x"))
    model = WordModel(k=6, order=1)
    whole = genome_distances(genomes, model)
    monkeypatch.setattr(distance, "_WORDS_AT_ONCE", 700)
    monkeypatch.setattr(distance, "_MAX_IN_MEMORY", 0)
    stages = []
    parts = genome_distances(genomes, model, progress=lambda *told: stages.append(told))
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    np.testing.assert_array_equal(genome_distances(genomes, model, num_threads=3), parts)
    assert stages == [
        *(("reading genomes", number, 4) for number in range(1, 5)),
        *(("comparing words", number, 3) for number in range(1, 4)),
    ]


@pytest.mark.parametrize(
    ("k", "order", "message"),
    [
        (1, 0, "2 to 12 bases"),
        (13, 2, "2 to 12 bases"),
        (6, 4, "0 to 3"),
        (6, -1, "0 to 3"),
        (4, 3, "0 to 2"),
    ],
)
def test_models_that_make_no_sense(k: int, order: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WordModel(k=k, order=order)


def test_classes() -> None:
    genomes = [
        Genome("a", "a", "Alpha", "train_in"),
        Genome("b", "b", "Beta", "train_in"),
        Genome("c", "c", "Beta", "val_in"),
        Genome("d", "d", "Delta", "val_ood"),
        Genome("e", "e", "Delta", "val_ood"),
        Genome("f", "f", "Gamma", "val_ood"),
        Genome("g", "g", "Eta", "test_ood"),
    ]
    distances = np.full((7, 7), 0.9)
    for i, j, value in [(3, 0, 0.5), (4, 1, 0.4), (5, 0, 0.3), (6, 1, 0.6), (4, 2, 0.1), (3, 4, 0.05)]:
        distances[i, j] = distances[j, i] = value
    distances[5, 1] = distances[1, 5] = np.nan
    assert class_distances(genomes, distances) == [
        ("val_ood", "Gamma", 0.3, "Alpha", "f", "a"),
        ("val_ood", "Delta", 0.4, "Beta", "e", "b"),
        ("test_ood", "Eta", 0.6, "Beta", "g", "b"),
    ]
    with pytest.raises(ConfigError, match="of train_in and of val_ood or test_ood"):
        class_distances(genomes[2:], distances[2:, 2:])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of four genomes, two of them with much in common."""
    (tmp_path / "genomes").mkdir()
    alpha = random_codes(4000, 1)
    near = alpha.copy()
    near[::50] = 0
    rows = ["file\tclass\tsplit"]
    for name, codes, class_name, split in [
        ("a.fna.gz", alpha, "Alpha", "train_in"),
        ("b.fna.gz", random_codes(4000, 2), "Beta", "train_in"),
        ("c.fna.gz", near, "Gamma", "val_ood"),
        ("d.fna.gz", random_codes(900, 3), "Delta", "val_ood"),
    ]:
        with gzip.open(tmp_path / "genomes" / name, "wt") as stream:
            stream.write(f">{name}\n{decode(codes)}\n")
        rows.append(f"{name}\t{class_name}\t{split}")
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_tables_written(table: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("pairs.tsv", "matrix.tsv", "classes.tsv")]
    directory = str(tmp_path / "genomes")
    write_distances(
        [str(table)],
        str(outputs[0]),
        WordModel(),
        directory=directory,
        matrix_output=str(outputs[1]),
        classes_output=str(outputs[2]),
    )
    pairs, matrix, classes = ([line.split("\t") for line in o.read_text().splitlines()] for o in outputs)
    assert pairs[0] == ["genome_a", "class_a", "split_a", "genome_b", "class_b", "split_b", "d2s"]
    assert len(pairs) == 1 + 6
    assert pairs[2][:6] == ["a.fna.gz", "Alpha", "train_in", "c.fna.gz", "Gamma", "val_ood"]
    assert matrix[0] == ["genome", "a.fna.gz", "b.fna.gz", "c.fna.gz", "d.fna.gz"]
    assert [row[0] for row in matrix[1:]] == matrix[0][1:]
    values = np.array([row[1:] for row in matrix[1:]], dtype=float)
    np.testing.assert_array_equal(values, values.T)
    np.testing.assert_array_equal([float(row[-1]) for row in pairs[1:]], values[np.triu_indices(4, 1)])
    found = genome_distances(find_genomes([str(table)], directory=directory), WordModel())
    np.testing.assert_allclose(values, found, rtol=1e-5)
    assert classes[0] == ["split", "class", "d2s", "nearest_class", "genome", "nearest_genome"]
    assert classes[1] == ["val_ood", "Gamma", pairs[2][6], "Alpha", "c.fna.gz", "a.fna.gz"]
    assert (classes[2][1], classes[2][4], len(classes)) == ("Delta", "d.fna.gz", 3)


def test_fasta_files_have_the_classes_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "Beta__1.fasta"
    path.write_text(">x with\ta tab\nACGT\n")
    example = str(EXAMPLES / "genomes" / "Escherichia__coli_536__NC_008253.1.fna.gz")
    assert find_genomes([example, str(path)]) == [
        (example, example, "Escherichia", ""),
        (str(path), str(path), "Beta", ""),
    ]


def test_inputs_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.fasta"
    path.write_text(">a\nACGTACGTAC\n")
    short = tmp_path / "b.fasta"
    short.write_text(">b\nACGTANACGTA\n")
    a, b = str(path), str(short)
    with gzip.open(tmp_path / "a.gz", "wt") as stream:
        stream.write("\n" + path.read_text())
    for single in (a, str(tmp_path / "a.gz")):
        with pytest.raises(InputError, match=r"a distance needs two FASTA files, or a table$"):
            find_genomes([single])
    (tmp_path / "a.gz").unlink()
    list_of_files = tmp_path / "list.tsv"
    list_of_files.write_text("a.fasta\n")
    with pytest.raises(InputError, match=r"list\.tsv, line 1: .*file, class"):
        find_genomes([str(list_of_files)])
    list_of_files.unlink()
    table = tmp_path / "table.tsv"
    table.write_text("file\tclass\tsplit\na.fasta\tAlpha\ttrain_in\n")
    with pytest.raises(ConfigError, match="between two genomes"):
        find_genomes([str(table)])
    with pytest.raises(InputError, match=r"a\.fasta: is named twice"):
        find_genomes([a, b, a])
    with pytest.raises(ConfigError, match="--genomes goes with one table"):
        find_genomes([a, b], directory=str(tmp_path))
    with pytest.raises(InputError, match=r"b\.fasta: has no stretch of 6 known bases"):
        write_distances([a, b], str(tmp_path / "o.tsv"), WordModel())
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_distances([a, b], a, WordModel(k=5))
    for place in ("output", "matrix_output", "classes_output"):
        outputs = {"output": str(tmp_path / "o.tsv"), place: str(tmp_path / "none" / "x.tsv")}
        with pytest.raises(InputError, match=r"x\.tsv: its directory '.*none' does not exist"):
            write_distances([a, b], model=WordModel(k=5), **outputs)
        assert not (tmp_path / "o.tsv").exists()
    with pytest.raises(ConfigError, match="need a table"):
        write_distances([a, b], "-", WordModel(k=5), classes_output=str(tmp_path / "c.tsv"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fasta", "b.fasta", "table.tsv"]


@pytest.mark.parametrize("name", ["a\tb__g.fna", "a\nb__g.fna", "bad\udce9__g.fna"])
def test_names_that_no_table_can_hold(tmp_path: Path, name: str) -> None:
    """They are refused before the work."""
    paths = [tmp_path / name, tmp_path / "b.fna"]
    for path in paths:
        path.write_text(">r\nACGTACGTAA\n")
    with pytest.raises(ConfigError) as error:
        write_distances([*map(str, paths)], str(tmp_path / "o.tsv"), WordModel())
    assert str(error.value) == f"{str(paths[0])!r}: its name holds what no table can; rename it"


def test_a_file_of_a_dataset_is_no_genome(tmp_path: Path) -> None:
    codes = tmp_path / "train_in.npy"
    np.save(codes, np.zeros((2, 250), dtype=np.uint8))
    (tmp_path / "b.fna").write_text(">r\nACGTACGTAA\n")
    with pytest.raises(InputError, match=r"train_in\.npy: is part of a dataset, no genome"):
        find_genomes([str(tmp_path / "b.fna"), str(codes)])


def test_genomes_from_pipes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.fna", tmp_path / "b.fna"]
    for path, seed in zip(paths, (1, 2), strict=True):
        path.write_text(f">r\n{decode(random_codes(500, seed))}\n")
    program = Path(sys.executable).with_name("genood-prep")
    line = f"{program} distance --k 4 <(cat {paths[0]}) <(cat {paths[1]})"
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    write_distances([*map(str, paths)], str(tmp_path / "o.tsv"), WordModel(k=4))
    assert found.stdout.split()[-1] == (tmp_path / "o.tsv").read_text().split()[-1]


def test_command(table: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("genood-prep")
    command = [program, "distance", table, "--genomes", tmp_path / "genomes", "-q"]
    good = subprocess.run([*command, "--k", "4", "--order", "1"], capture_output=True, text=True, timeout=120)
    assert (good.returncode, good.stderr) == (0, "")
    assert len(good.stdout.splitlines()) == 1 + 6
    bad = subprocess.run([*command, "--k", "3"], capture_output=True, text=True, timeout=120)
    message = "the Markov order must be 0 to 1 for words of 3 bases, not 2"
    assert (bad.returncode, bad.stderr.splitlines()[-1]) == (2, f"Error: {message}")


@pytest.mark.parametrize(
    ("option", "limits"),
    [(["--k", "13"], "2<=x<=12"), (["--k", "1"], "2<=x<=12"), (["--order", "9"], "0<=x<=3")],
)
def test_usage(option: list[str], limits: str) -> None:
    result = CliRunner().invoke(cli_command, ["table.tsv", *option])
    assert result.exit_code == 2
    assert f"is not in the range {limits}" in result.output


def test_no_directory_to_keep_what_is_compiled() -> None:
    """As of an installation that cannot be written to, without a home."""
    code = (
        "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []\n"
        "from data_prep.distance import d2s\n"
        "from data_prep.words import WordModel, profile_of\n"
        "from genood.sequence import encode\n"
        "import numpy as np\n"
        "texts = ('AAC', 'ACG')\n"
        "profiles = [profile_of([encode(text)], WordModel(k=2, order=0)) for text in texts]\n"
        "print(f'{d2s(np.stack(profiles))[0, 1]:.6f}')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    # As in `test_d2s_by_hand`.
    assert (result.returncode, result.stdout, result.stderr) == (0, "0.250328\n", "")


def test_order_on_the_examples() -> None:
    """A genome of E. coli is nearest to reads of another strain, then to its relative Pectobacterium."""
    sources: dict[str, list[Codes]] = defaultdict(list)
    with gzip.open(EXAMPLES / "reads" / "ood.fasta.gz", "rt") as stream:
        titles = [line[1:].split() for line in stream if line.startswith(">")]
    organisms = {title[0]: " ".join(title[1:]) for title in titles}
    for read in read_file(EXAMPLES / "reads" / "ood.fasta.gz"):
        sources[organisms[read.name]].append(read.codes)
    assert len(sources) == 33
    genome = next((EXAMPLES / "genomes").glob("*.fna.gz"))
    reads = [read.codes for read in read_file(EXAMPLES / "reads" / "in.fasta.gz")]
    coli = [record.codes for record in read_file(genome)]
    found = d2s(profiles(WordModel(), coli, reads[:50], *sources.values()))[0]
    names = ["genome", "strain", *sources]
    nearest = [names[number] for number in np.argsort(found)]
    assert nearest[:2] == ["genome", "strain"]
    assert nearest[2].startswith("Pectobacterium")


def shared_genomes(*patterns: str) -> list[Genome]:
    if not SHARED_GENOMES.is_dir():
        pytest.skip(f"no real genomes in {SHARED_GENOMES}")
    paths = [next(SHARED_GENOMES.glob(pattern)) for pattern in patterns]
    return [Genome(str(path), path.name, path.name) for path in paths]


def test_order_of_real_genomes() -> None:
    coli, albertii, salmonella, yersinia, bacillus, staphylococcus = range(6)
    found = genome_distances(
        shared_genomes(
            "Escherichia__coli_536*",
            "Escherichia__albertii*",
            "Salmonella__enterica*Typhi*",
            "Yersinia__pestis_KIM*",
            "Bacillus__subtilis*168*",
            "Staphylococcus__aureus*COL*",
        ),
        WordModel(),
    )
    by_relation = [albertii, salmonella, yersinia, bacillus, staphylococcus]
    assert sorted(by_relation, key=lambda number: found[coli, number]) == by_relation
    assert found[yersinia, coli] < found[yersinia, staphylococcus]
    assert found[bacillus, staphylococcus] < found[yersinia, staphylococcus]


def test_published_distances() -> None:
    """Near those that VirHostMatcher gives for other strains of the hosts, and DE3, a kind of lambda.

    Its repository, test/352virus/output/d2shepp_k6.csv, row Enterobacteria_phage_DE3: words of 6 bases
    and order 2; its chain is fitted to one strand.
    """
    hosts = {
        "Escherichia__coli_536*": 0.320989,  # AE014075.1, E. coli CFT073
        "Salmonella__enterica*Typhi*": 0.337507,  # NC_003197.1, S. enterica LT2
        "Streptococcus__pneumoniae*": 0.435122,  # NC_003098.1, S. pneumoniae R6
        "Staphylococcus__aureus*COL*": 0.437388,  # NC_007795.1, S. aureus NCTC 8325
    }
    genomes = shared_genomes("host__Enterobacteria_phage_lambda*", *hosts)
    np.testing.assert_allclose(genome_distances(genomes, WordModel())[0, 1:], list(hosts.values()), atol=0.01)
    # No other order is as near.
    for order in (0, 1, 3):
        other = genome_distances(genomes, WordModel(order=order))[0, 1:]
        assert np.abs(other - list(hosts.values())).max() > 0.02
