"""The plan of a dataset split by time."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.catalogue import make_catalogue
from data_prep.catalogue_table import Genome, genome_key, write_catalogue
from data_prep.class_lists import SIDES, ListedClass
from data_prep.plan import PlanConfig, make_plan, plan_dataset
from data_prep.plan_table import Plan, class_sizes, split_sizes, write_plan
from genood.dataset import side_of
from genood.errors import ConfigError, InputError

DATA = Path(__file__).parents[1] / "data" / "catalogue"
REAL = Path(__file__).parents[2].parent / "shared" / "data"
PROGRAM = Path(sys.executable).with_name("genood-prep")


def genome(
    number: int,
    genus: str,
    released: str | date,
    *,
    species: str = "sp.",
    prefix: str = "GCA",
    size: int = 1000,
) -> Genome:
    accession = f"{prefix}_{number:09d}.1"
    digits = accession[4:13]
    path = "/".join(
        (
            "https://ftp.ncbi.nlm.nih.gov/genomes/all",
            *(prefix, digits[:3], digits[3:6], digits[6:]),
            f"{accession}_ASM{number}v1",
        )
    )
    day = date.fromisoformat(released) if isinstance(released, str) else released
    return Genome(accession, f"{genus} {species}", "1", genus, day, "Complete Genome", size, 50.0, path)


def placed(plan: Plan) -> list[tuple[str, str, int]]:
    return [(row.split, row.class_name, int(genome_key(row.genome.accession))) for row in plan.genomes]


OLD = [
    genome(1, "Bacillus", "2003-01-01"),
    genome(2, "Bacillus", "2010-12-31"),
    genome(3, "Bacillus", "2011-01-01"),
    genome(4, "Bacillus", "2016-01-02"),
    genome(5, "Yersinia", "2001-01-01"),
    genome(6, "Yersinia", "2013-01-01"),
    genome(7, "Yersinia", "2017-01-01"),
]
NEW = [
    genome(11, "Devosia", "2011-01-01"),
    genome(12, "Devosia", "2016-01-01"),
    genome(13, "Devosia", "2016-01-02"),
    genome(14, "Dyella", "2014-01-01"),
    genome(21, "Bosea", "2016-01-02"),
    genome(22, "Bosea", "2018-09-01"),
    genome(23, "Bosea", "2018-09-02"),
    genome(24, "Agromyces", "2017-01-01"),
]


def test_periods_by_hand() -> None:
    plan = make_plan(OLD + NEW, PlanConfig(as_of=date(2018, 9, 1)))
    assert placed(plan) == [
        ("train_in", "Bacillus", 1),
        ("train_in", "Bacillus", 2),
        ("train_in", "Yersinia", 5),
        ("val_in", "Bacillus", 3),
        ("val_in", "Yersinia", 6),
        ("val_ood", "Devosia", 11),
        ("val_ood", "Devosia", 12),
        ("val_ood", "Dyella", 14),
        ("test_in", "Bacillus", 4),
        ("test_in", "Yersinia", 7),
        ("test_ood", "Agromyces", 24),
        ("test_ood", "Bosea", 21),
        ("test_ood", "Bosea", 22),
    ]
    assert plan.left_out == {
        "released after 2018-09-01": {"Bosea": 1},
        "of a class of val_ood, not released from 2011-01-01 to 2016-01-01": {"Devosia": 1},
    }
    assert plan.remarks == []
    assert split_sizes(plan) == [
        ("train_in", 2, 3, 3000),
        ("val_in", 2, 2, 2000),
        ("val_ood", 2, 3, 3000),
        ("test_in", 2, 2, 2000),
        ("test_ood", 2, 3, 3000),
    ]
    assert class_sizes(plan)[:4] == [
        ("train_in", "Bacillus", 2, 2000, date(2003, 1, 1)),
        ("train_in", "Yersinia", 1, 1000, date(2001, 1, 1)),
        ("val_in", "Bacillus", 1, 1000, date(2003, 1, 1)),
        ("val_in", "Yersinia", 1, 1000, date(2001, 1, 1)),
    ]


def test_largest_first() -> None:
    plan = make_plan(OLD + NEW, PlanConfig(num_in=1, num_ood=1))
    assert {row.class_name for row in plan.genomes} == {"Bacillus", "Devosia", "Bosea"}
    assert plan.left_out["class first seen before 2011-01-01, not among the 1 taken"] == {"Yersinia": 3}
    assert plan.left_out["class first seen after 2016-01-01, not among the 1 taken"] == {"Agromyces": 1}
    plan = make_plan(OLD + NEW, PlanConfig(num_in=1, num_ood=0))
    assert {side_of(row.split) for row in plan.genomes} == {"in"}


def test_largest_by_its_own_years() -> None:
    # Dyella has more genomes in all, but fewer of the years that make val_ood.
    later = [genome(100 + n, "Dyella", "2017-01-01") for n in range(5)]
    plan = make_plan(NEW + later, PlanConfig(num_ood=1))
    assert [name for split, name, _ in placed(plan) if split == "val_ood"] == ["Devosia", "Devosia"]


def test_classes_without_a_split_come_last() -> None:
    many = [genome(200 + n, "Rickettsia", "2005-01-01") for n in range(9)]
    plan = make_plan(OLD + many, PlanConfig(num_in=2))
    assert {row.class_name for row in plan.genomes} == {"Bacillus", "Yersinia"}
    plan = make_plan(OLD + many, PlanConfig(num_in=3))
    assert plan.remarks == [("Rickettsia", "in", "no genome for val_in and test_in")]
    # Before the third period has begun nobody can have test_in.
    plan = make_plan(OLD + many, PlanConfig(num_in=1, as_of=date(2010, 12, 31)))
    assert {row.class_name for row in plan.genomes} == {"Rickettsia"}


def test_ties_go_by_name() -> None:
    genomes = [genome(number, name, "2012-01-01") for number, name in enumerate(("Cedecea", "Advenella"))]
    assert placed(make_plan(genomes, PlanConfig(num_ood=1))) == [("val_ood", "Advenella", 1)]


def test_at_most_so_many_genomes() -> None:
    genomes = [genome(number, "Bosea", f"2017-01-{28 - number:02d}") for number in range(1, 6)]
    plan = make_plan(genomes, PlanConfig(max_genomes=2))
    assert placed(plan) == [("test_ood", "Bosea", 5), ("test_ood", "Bosea", 4)]
    assert plan.left_out == {"beyond the first 2 of its class and split": {"Bosea": 3}}


def test_the_same_genome_counts_once() -> None:
    refseq = genome(1, "Bacillus", "2017-01-01", prefix="GCF")
    plan = make_plan([refseq, *OLD])
    assert [row.genome.accession for row in plan.genomes if row.genome.accession.endswith("1.1")] == [
        "GCA_000000001.1"
    ]
    assert plan.left_out == {"the same genome again": {"Bacillus": 1}}


def listed(**sides: str) -> tuple[ListedClass, ...]:
    return tuple(ListedClass(name, side, frozenset({name})) for name, side in sides.items())


def test_listed_classes_stay_on_their_side() -> None:
    classes = listed(Bacillus="test_ood", Devosia="in", Dyella="val_ood", Massilia="val_ood", Bosea="val_ood")
    plan = make_plan(OLD + NEW, PlanConfig(classes=classes, as_of=date(2018, 9, 1)))
    assert placed(plan) == [("val_ood", "Dyella", 14), ("test_ood", "Bacillus", 4)]
    # That of Bacillus is not of its side's years.
    assert plan.first_seen == {"Bacillus": date(2003, 1, 1), "Dyella": date(2014, 1, 1)}
    assert plan.remarks == [
        (
            "Bacillus",
            "test_ood",
            "first seen 2003-01-01, not after 2016-01-01; genomes of other years are left out",
        ),
        ("Devosia", "in", "left out: no genome released before 2011-01-01; first seen 2011-01-01"),
        ("Massilia", "val_ood", "left out: no genome in the catalogue up to 2018-09-01"),
        (
            "Bosea",
            "val_ood",
            "left out: no genome released from 2011-01-01 to 2016-01-01; first seen 2016-01-02",
        ),
    ]
    assert plan.left_out["class not in the list"] == {"Agromyces": 1, "Yersinia": 3}
    assert plan.left_out["of a class of test_ood, not released after 2016-01-01"] == {"Bacillus": 3}


def test_species_before_genus() -> None:
    classes = (
        ListedClass("Rhizobacter", "test_ood", frozenset({"Rhizobacter", "Piscinibacter gummiphilus"})),
        ListedClass("Piscinibacter", "test_ood", frozenset({"Piscinibacter"})),
    )
    genomes = [
        genome(1, "Piscinibacter", "2017-01-01", species="gummiphilus NS21"),
        genome(2, "Piscinibacter", "2017-01-01", species="aquaticus"),
    ]
    assert placed(make_plan(genomes, PlanConfig(classes=classes))) == [
        ("test_ood", "Piscinibacter", 2),
        ("test_ood", "Rhizobacter", 1),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train_before": date(2017, 1, 1)}, "must not be later than test_after"),
        ({"num_in": 0}, "at least 1"),
        ({"max_genomes": 0}, "at least 1"),
        ({"classes": listed(Bacillus="train")}, "on side 'train'"),
        (
            {"classes": (*listed(Bacillus="in"), ListedClass("B", "val_ood", frozenset({"Bacillus"})))},
            "classes 'Bacillus' and 'B' both hold Bacillus",
        ),
        (
            {"classes": (*listed(Bosea="in"), ListedClass("Bosea", "val_ood", frozenset({"Dyella"})))},
            "class 'Bosea' is listed twice",
        ),
    ],
)
def test_bad_configuration(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PlanConfig(**values)  # type: ignore[arg-type]


# Few numbers and names, so that genomes repeat and classes cross the years.
GENOMES = st.lists(
    st.builds(
        genome,
        st.integers(1, 30),
        st.sampled_from(["Ab", "Bc", "Cd", "De", "Ef", "Fg"]),
        st.integers(0, 20).map(lambda halves: date(2008, 1, 1) + timedelta(days=183 * halves)),
        prefix=st.sampled_from(["GCA", "GCF"]),
        size=st.integers(1, 3),
    ),
    max_size=40,
)
CLASSES = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["Ab", "Bc", "Cd", "De", "Zz"]), st.sampled_from(SIDES)).map(
        lambda sides: listed(**sides)
    ),
)
CONFIGS = st.builds(
    PlanConfig,
    num_in=st.integers(1, 3),
    num_ood=st.integers(0, 2),
    max_genomes=st.one_of(st.none(), st.integers(1, 3)),
    as_of=st.one_of(st.none(), st.dates(date(2008, 1, 1), date(2018, 12, 31))),
    classes=CLASSES,
)


@settings(max_examples=200, deadline=None)
@given(GENOMES, CONFIGS, st.randoms(use_true_random=False))
def test_whatever_the_catalogue(genomes: list[Genome], config: PlanConfig, random: object) -> None:
    plan = make_plan(genomes, config)
    keys = [genome_key(row.genome.accession) for row in plan.genomes]
    assert len(keys) == len(set(keys)), "a genome is in two splits"
    sides: dict[str, set[str]] = {}
    for row in plan.genomes:
        sides.setdefault(row.class_name, set()).add("in" if side_of(row.split) == "in" else row.split)
        assert config.as_of is None or row.genome.release_date <= config.as_of
        period = row.split.partition("_")[0]
        assert (row.genome.release_date < config.train_before) == (period == "train")
        assert (row.genome.release_date > config.test_after) == (period == "test")
    assert all(len(side) == 1 for side in sides.values()), "a class is on both sides"
    # Nothing is lost without a reason.
    num_left = sum(sum(names.values()) for names in plan.left_out.values())
    assert len(plan.genomes) + num_left == len(genomes)
    shuffled = list(genomes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert make_plan(shuffled, config) == plan


@settings(max_examples=200, deadline=None)
@given(GENOMES, CONFIGS, st.dates(date(2008, 1, 1), date(2018, 12, 31)), st.integers(0, 2000))
def test_as_of(genomes: list[Genome], config: PlanConfig, early: date, days: int) -> None:
    """A later day takes nothing away and moves nothing, where the classes are the same."""
    late = early + timedelta(days=days)
    values = {name: getattr(config, name) for name in ("num_in", "max_genomes", "classes")}
    # All OOD classes, as which of them are largest may change.
    first = make_plan(genomes, PlanConfig(**(values | {"num_in": 9, "num_ood": 9, "as_of": early})))
    second = make_plan(genomes, PlanConfig(**(values | {"num_in": 9, "num_ood": 9, "as_of": late})))
    assert Counter(placed(first)) <= Counter(placed(second))


def test_as_of_is_as_if_nothing_later_were_known() -> None:
    day = date(2016, 1, 1)
    past = [row for row in OLD + NEW if row.release_date <= day]
    assert make_plan(OLD + NEW, PlanConfig(as_of=day)).genomes == make_plan(past).genomes


def test_an_older_name_in_the_catalogue(tmp_path: Path) -> None:
    catalogue = tmp_path / "c.tsv"
    write_catalogue([genome(1, "Moorea", "2017-01-01"), genome(2, "Moorena", "2018-01-01")], str(catalogue))
    plan = plan_dataset(str(catalogue), str(tmp_path / "p.tsv"), classes="paper")
    assert placed(plan) == [("test_ood", "Moorea", 1), ("test_ood", "Moorea", 2)]


def test_nothing_to_plan_with(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    catalogue = tmp_path / "c.tsv"
    write_catalogue(OLD, str(catalogue))
    with pytest.raises(InputError, match="no genome is left to plan with: released after 1999-01-01"):
        plan_dataset(str(catalogue), str(tmp_path / "p.tsv"), PlanConfig(as_of=date(1999, 1, 1)))
    with pytest.raises(ConfigError, match="both an input and an output"):
        plan_dataset(str(catalogue), str(catalogue))
    assert [path.name for path in tmp_path.iterdir()] == ["c.tsv"]
    assert caplog.messages == []
    plan_dataset(str(catalogue), str(tmp_path / "p.tsv"))
    assert caplog.messages == [
        "only 2 of 10 classes were first seen before 2011-01-01",
        "only 0 of 60 classes were first seen from 2011-01-01 to 2016-01-01",
        "only 0 of 60 classes were first seen after 2016-01-01",
    ]


def run_plan(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "plan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_plan_on_stdout(tmp_path: Path) -> None:
    catalogue, output = tmp_path / "c.tsv", tmp_path / "p.tsv"
    write_catalogue(OLD + NEW, str(catalogue))
    to_file = run_plan(catalogue, "-o", output, "-q")
    for name in ("-", "/dev/stdout"):
        result = run_plan(catalogue, "-o", name)
        assert result.stdout == output.read_text()
        assert result.stderr.endswith(to_file.stdout)
    result = run_plan(catalogue, "-o", "-", "-q")
    assert (result.stdout, result.stderr) == (output.read_text(), "")


def test_catalogue_through_a_pipe(tmp_path: Path) -> None:
    write_catalogue(OLD + NEW, str(tmp_path / "c.tsv"))
    text = (tmp_path / "c.tsv").read_text()
    assert run_plan("/dev/stdin", "-o", "-", "-q", input=text).stdout.count("\n") == 15


def test_compressed_by_name(tmp_path: Path) -> None:
    catalogue, output = tmp_path / "c.tsv.gz", tmp_path / "p.tsv.gz"
    write_catalogue(OLD + NEW, str(catalogue))
    plan = plan_dataset(str(catalogue), str(output))
    write_plan(plan, str(tmp_path / "p.tsv"))
    assert gzip.decompress(output.read_bytes()) == (tmp_path / "p.tsv").read_bytes()
    # Neither name nor time is in it.
    write_plan(plan, str(tmp_path / "other.gz"))
    assert (tmp_path / "other.gz").read_bytes() == output.read_bytes()
    assert output.read_bytes()[3:8] == bytes(5)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    write_catalogue(OLD, str(tmp_path / "c.tsv"))
    with pytest.raises(InputError, match=r"^/proc/x\.tsv: cannot be written \("):
        plan_dataset(str(tmp_path / "c.tsv"), "/proc/x.tsv")


def test_command(tmp_path: Path) -> None:
    catalogue, output = tmp_path / "c.tsv", tmp_path / "plan.tsv"
    make_catalogue([str(DATA / "prokaryotes_2021.txt")], str(catalogue))
    command = [PROGRAM, "plan", catalogue, "-o", output, "--as-of", "2018-09-01", "--classes", "paper"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stderr == "genood-prep: warning: 125 of the 130 classes of the list are left out\n"
    tables = [
        [line.split("\t") for line in table.splitlines()] for table in result.stdout.rstrip().split("\n\n")
    ]
    assert tables[0] == [
        ["split", "classes", "genomes", "bases"],
        ["train_in", "3", "3", "14004560"],
        ["val_in", "0", "0", "0"],
        ["val_ood", "2", "2", "4788910"],
        ["test_in", "0", "0", "0"],
        ["test_ood", "0", "0", "0"],
    ]
    assert tables[1][:3] == [
        ["split", "class", "genomes", "bases", "first_seen"],
        ["train_in", "Escherichia", "1", "4641650", "1998-10-13"],
        ["train_in", "Mycobacterium", "1", "4411530", "2001-09-07"],
    ]
    assert tables[2] == [["left_out", "classes", "genomes"], ["released after 2018-09-01", "1", "1"]]
    assert ["Labrenzia", "test_ood", "left out: no genome in the catalogue up to 2018-09-01"] in tables[3]
    assert ["Escherichia", "in", "no genome for val_in and test_in"] in tables[3]
    text = output.read_text()
    assert text.startswith(
        "split\tclass\taccession\torganism\ttaxid\trelease_date\tassembly_level\tsize\tpath\tfile\n"
    )
    lines = [line.split("\t") for line in text.splitlines()]
    path = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCA/001/267/255/GCA_001267255.1_ASM126725v1"
    assert [line for line in lines if line[1] == "Oblitimonas"] == [
        [
            *(
                "val_ood",
                "Oblitimonas",
                "GCA_001267255.1",
                "Oblitimonas alkaliphila",
                "1697053",
                "2015-08-13",
            ),
            *("Complete Genome", "2294400", path, "GCA_001267255.1_ASM126725v1_genomic.fna.gz"),
        ]
    ]


def test_command_with_options_that_exclude_each_other(tmp_path: Path) -> None:
    result = run_plan("c.tsv", "-o", tmp_path / "p.tsv", "--classes", "paper", "--num-in", "3")
    assert result.returncode == 2
    assert "--num-in and --num-ood say how many classes to choose" in result.stderr
    result = run_plan("c.tsv", "-o", tmp_path / "p.tsv", "--train-before", "2017-01-01")
    assert result.returncode == 2
    assert result.stderr.endswith(
        "Error: --train-before, 2017-01-01, must not be later than --test-after, 2016-01-01\n"
    )


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_real_catalogue(tmp_path: Path) -> None:
    catalogue = tmp_path / "c.tsv"
    make_catalogue([str(REAL / "catalogue" / "prokaryotes_2021.txt.gz")], str(catalogue))
    config = PlanConfig(as_of=date(2018, 9, 1))
    plan = plan_dataset(str(catalogue), str(tmp_path / "largest.tsv"), config)
    sizes = {split: num_classes for split, num_classes, _, _ in split_sizes(plan)}
    assert sizes == {"train_in": 10, "val_in": 10, "val_ood": 60, "test_in": 10, "test_ood": 60}
    plan = plan_dataset(str(catalogue), str(tmp_path / "paper.tsv"), config, classes="paper")
    # By complete genomes no class of the paper was known before its years.
    assert not [remark for remark in plan.remarks if remark.remark.startswith("first seen")]
