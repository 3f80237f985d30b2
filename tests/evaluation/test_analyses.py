"""What figures show, by hand; score tables and tables of distances in."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from scored_reads import few_reads, many_reads

from data_prep.distance import write_distances
from data_prep.words import WordModel
from genood.errors import ConfigError, InputError
from genood.evaluation.analyses import (
    ReadScores,
    against_distance,
    against_gc,
    class_table,
    gc_correlations,
    histogram,
    pearson,
    read_distances,
    reads_table,
    roc_table,
    separation_table,
)
from genood.metrics import separation
from genood.sequence import decode

HEADER = "split\tclass\td2s\tnearest_class\tgenome\tnearest_genome\n"


def test_reads_table() -> None:
    table = reads_table(few_reads())
    assert table.columns.tolist() == ["side", "class", "gc", "likelihood", "ratio"]
    assert table.iloc[0].tolist() == ["in", "A", 0.1, -1.0, 0.0]
    assert table.iloc[5].tolist() == ["ood", "X", 0.5, -3.0, -1.0]


@pytest.mark.parametrize(
    "changed",
    [{"gc": np.zeros(3)}, {"predicted": np.array(["A"], dtype=object)}, {"ood_scores": {}}],
    ids=lambda changed: next(iter(changed)),
)
def test_reads_that_do_not_fit(changed: dict[str, Any]) -> None:
    reads = few_reads()
    with pytest.raises(ConfigError, match=r"must be of the same reads|needs a method"):
        replace(reads, **changed)


def test_both_sides_are_needed() -> None:
    with pytest.raises(ConfigError, match=r"reads of both sides$"):
        ReadScores.of_sides(classes=(["A"], []), gc=([0.5], []), ood_scores={"llr": ([0.0], [])})


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match=r"^no method is called 'nope'; there are likelihood, ratio$"):
        histogram(few_reads(), "nope")


def test_histogram_by_hand() -> None:
    # Scores -1 to -5, and -3, -6, -7, in bins of nearly 1.2 from the lowest; what lies beyond counts in the
    # first or last.
    table = histogram(few_reads(), "likelihood", num_bins=5)
    assert table["side"].tolist() == ["in"] * 5 + ["ood"] * 5
    assert table["num_reads"].tolist() == [0, 1, 1, 1, 2, 2, 0, 0, 1, 0]
    np.testing.assert_allclose(table["low"].iloc[:5], [-7, -5.8, -4.6, -3.4, -2.2], atol=0.01)
    np.testing.assert_allclose(table["density"].iloc[[1, 5]], [1 / 5 / 1.2, 2 / 3 / 1.2], rtol=0.01)
    for _, part in table.groupby("side"):
        assert (part["density"] * (part["high"] - part["low"])).sum() == pytest.approx(1)


def test_histogram_of_one_value() -> None:
    reads = ReadScores.of_sides(classes=(["A"], ["X"]), gc=([0.5], [0.5]), ood_scores={"llr": ([1.0], [1.0])})
    assert histogram(reads, "llr")["num_reads"].sum() == 2


def test_against_gc_by_hand() -> None:
    table = against_gc(few_reads(), "likelihood")
    assert table.columns.tolist() == ["side", "low", "high", "num_reads", "mean", "sd"]
    last_in, both_ood = table.iloc[4], table.iloc[5]
    assert last_in.iloc[:4].tolist() == ["in", 0.5, 0.52, 1]
    assert both_ood.iloc[:5].tolist() == ["ood", 0.5, 0.52, 2, -4.5]
    assert both_ood["sd"] == pytest.approx(np.sqrt(4.5))
    assert len(table) == 7  # the read without a score is in no bin


def test_correlations() -> None:
    reads = many_reads()
    table = gc_correlations(reads).set_index(["method", "side"])
    score = reads.score("method 1")
    assert table.loc[("method 1", "both"), "pearson_r"] == pytest.approx(pearsonr(reads.gc, score).statistic)
    ood = reads.is_ood
    assert table.loc[("method 1", "ood"), "pearson_r"] == pytest.approx(
        pearsonr(reads.gc[ood], score[ood]).statistic
    )
    assert table.loc[("method 1", "in"), "num_reads"] == 200


def test_pearson_that_does_not_exist() -> None:
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert pearson([1, 2, 3, np.nan], [3, 2, 1, 0]) == pytest.approx(-1)
    assert np.isnan(pearson([1, 2], [2, 4]))
    assert np.isnan(pearson([1, 2, 3], [5, 5, 5]))


def test_roc_by_hand() -> None:
    # In-distribution reads at 1 to 5, OOD ones at 3, 6 and 7.
    table = roc_table(few_reads(), ["likelihood"])
    assert np.rint(3 * table["fpr"]).tolist() == [0, 0, 0, 1, 1, 3]
    assert np.rint(5 * table["tpr"]).tolist() == [0, 1, 2, 3, 5, 5]


def test_separation_table() -> None:
    reads = many_reads()
    table = separation_table(reads)
    assert table["method"].tolist() == ["method 1", "method 0"]
    values = -reads.score("method 1")
    assert tuple(table.iloc[0, 1:]) == separation(values[~reads.is_ood], values[reads.is_ood])


def test_class_table_by_hand() -> None:
    table = class_table(few_reads()).set_index("class")
    assert table["side"].tolist() == ["in", "in", "ood", "ood"]
    assert table["num_reads"].tolist() == [3, 2, 2, 2]
    # A at 1, 2, 3 and B at 4, 5 against 3, 6, 7: a tie counts half. X at 3, 6 and Y at 7 against 1 to 5.
    expected = [(3 + 3 + 2.5) / 9, (2 + 2) / 6, (2.5 + 5) / 10, 1]
    np.testing.assert_allclose(table["likelihood"], expected)
    np.testing.assert_allclose(table["ratio"], [2 / 3, 2 / 3, 1, 0])


def test_class_table_is_of_the_auroc() -> None:
    reads = many_reads()
    table = class_table(reads).set_index("class")
    values = -reads.score("method 1")
    of_class = separation(values[~reads.is_ood], values[reads.classes == "Ood1"]).auroc
    assert table.loc["Ood1", "method 1"] == pytest.approx(of_class)


def test_accuracy_by_class() -> None:
    classified = ReadScores.of_sides(
        classes=(["A", "A", "A", "B", "B"], ["X"]),
        gc=(np.zeros(5), [0.0]),
        ood_scores={"llr": (np.zeros(5), [1.0])},
        predicted=(["A", "A", "B", "B", "B"], ["A"]),
    )
    accuracy = class_table(classified).set_index("class")["accuracy"]
    np.testing.assert_allclose(accuracy, [2 / 3, 1, np.nan])


def distances_of(**d2s: float) -> pd.DataFrame:
    return pd.DataFrame({"class": list(d2s), "d2s": list(d2s.values()), "nearest_class": "A"})


def test_against_distance() -> None:
    reads = many_reads()
    found = against_distance(reads, distances_of(Ood2=0.3, Ood0=0.1, Ood1=0.2, Other=0.5), ["method 1"])
    assert found.classes.columns.tolist() == ["class", "num_reads", "d2s", "nearest_class", "method 1"]
    assert found.classes["class"].tolist() == ["Ood0", "Ood1", "Ood2"]
    aurocs = class_table(reads).set_index("class").loc[["Ood0", "Ood1", "Ood2"], "method 1"]
    assert found.classes["method 1"].tolist() == aurocs.tolist()
    assert found.correlations["method 1"] == pytest.approx(pearsonr([0.1, 0.2, 0.3], aurocs).statistic)
    assert found.without_distance == ()


def test_classes_without_distance() -> None:
    found = against_distance(few_reads(), distances_of(Y=0.2))
    assert found.without_distance == ("X",)
    assert np.isnan(found.correlations["ratio"])
    with pytest.raises(ConfigError, match=r"^none of the OOD classes has a distance: X, Y$"):
        against_distance(few_reads(), distances_of(Z=0.2))


def test_distances_that_genood_prep_writes(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    rows = ["file\tclass\tsplit"]
    for class_name, split in (("A", "train_in"), ("X", "val_ood"), ("Y", "val_ood"), ("X", "test_ood")):
        name = f"{class_name}_{split}.fa"
        codes = generator.integers(0, 4, 3000, dtype=np.uint8)
        (tmp_path / name).write_text(f">s\n{decode(codes)}\n")
        rows.append(f"{name}\t{class_name}\t{split}")
    (tmp_path / "plan.tsv").write_text("\n".join(rows) + "\n")
    classes = str(tmp_path / "classes.tsv")
    model = WordModel(k=3, order=1)
    write_distances([str(tmp_path / "plan.tsv")], str(tmp_path / "d2s.tsv"), model, classes_output=classes)
    table = read_distances(classes, "val_ood").set_index("class")
    assert sorted(table.index) == ["X", "Y"]
    assert table["nearest_class"].tolist() == ["A", "A"]
    assert table["d2s"].between(0, 1).all()
    with pytest.raises(InputError, match=r"classes\.tsv: names the class 'X' twice; say of which split$"):
        read_distances(classes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("genome_a\tgenome_b\td2s\n", "has no column 'split'; give what genood-prep distance --classes-out"),
        (HEADER + "val_ood\tX\tfar\tA\tx\ta\n", "column 'd2s' holds 'far', which is no number"),
        ("", "cannot be read as a table"),
    ],
)
def test_distances_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_distances(str(path))
    with pytest.raises(InputError, match=r"no\.tsv"):
        read_distances(str(tmp_path / "no.tsv"))


def test_score_tables(tmp_path: Path) -> None:
    header = "read_id\tgc\tood_score\tood_score_likelihood\n"
    (tmp_path / "in.tsv").write_text(header + 'NA__1\t0.5\t-0.25\t1.25\n"\t\t\t\n')
    with gzip.open(tmp_path / "ood.tsv.gz", "wt") as stream:
        stream.write(header + "X__1\t0.25\t0.5\t1.5\n")
    columns = {"ratio": "ood_score", "likelihood": "ood_score_likelihood"}
    reads = ReadScores.of_tables(str(tmp_path / "in.tsv"), str(tmp_path / "ood.tsv.gz"), columns)
    assert reads.methods == ("ratio", "likelihood")
    assert reads.classes.tolist() == ["NA", '"', "X"]
    assert reads.is_ood.tolist() == [False, False, True]
    np.testing.assert_array_equal(reads.gc, [0.5, np.nan, 0.25])
    np.testing.assert_array_equal(reads.score("ratio"), [0.25, np.nan, -0.5])


def test_score_tables_as_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    columns = {"read_id": ["A__1"], "gc": [0.5], "ood_score": [1.0]}
    for side in ("in", "ood"):
        pd.DataFrame(columns).to_parquet(tmp_path / f"{side}.parquet")
    tables = [str(tmp_path / f"{side}.parquet") for side in ("in", "ood")]
    reads = ReadScores.of_tables(*tables, {"ratio": "ood_score"})
    assert reads.classes.tolist() == ["A", "A"]
