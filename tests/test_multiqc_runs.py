"""What MultiQC is told of runs: read from summaries, whoever wrote them; and custom content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genood.errors import ConfigError
from genood.multiqc.content import COLUMNS, SUMMARY_KEY, cells, custom_content
from genood.multiqc.runs import Evaluation, ForeignError, OodFraction, Run, sample_of

QUANTILES = {"0": -2, "0.01": -1.5, "0.05": -1, "0.25": -0.5, "0.5": 0, "0.75": 0.5, "0.95": 1, "1": 2}
SUMMARY: dict[str, Any] = {
    "tool": "genood",
    "version": "1.2.3",
    "bundle": {"path": "models/gut", "fingerprint": "0123456789abcdef"},
    "inputs": ["reads/A_R1.fastq.gz", "reads/A_R2.fastq.gz"],
    "detectors": ["llr", "likelihood"],
    "alpha": 0.05,
    "reads": {"in": 12, "scored": 8, "skipped": {"nothing to score": 1, "shorter than --min-length": 3}},
    "bases": {"in": 900, "scored": 880},
    "calls": {"in": 6, "ood": 2, "na": 1},
    "ood_fraction": {"estimate": 0.25, "low": 0.125, "high": 0.5, "null_fits": True},
    "p_value_counts": [2, 0, 1, 5],
    "gc": 0.5,
    "quantiles": {"length": {"0.5": 100}, "llr_per_base": QUANTILES, "ood_score_llr": QUANTILES},
    "reads_per_second": 1000.0,
}


def test_a_run_by_hand() -> None:
    run = Run.of(SUMMARY)
    assert run.fraction == OodFraction(25.0, 12.5, 50.0, True)
    assert (run.bundle, run.fingerprint, run.level) == ("models/gut", "0123456789abcdef", "p ≤ 0.05")
    assert list(run.score_quantiles) == ["llr"]
    assert run.score_quantiles["llr"]["0.25"] == -0.5
    assert cells(run) == {
        **{"ood": 25.0, "ood_low": 12.5, "ood_high": 50.0, "called_ood": 25.0},
        **{"reads": 12, "not_scored": 4, "gc": 50.0, "median_length": 100.0},
    }


def test_what_is_not_known_is_left_out() -> None:
    """As of a run without a read that can be scored, and of other versions."""
    nulls = {"ood_fraction": None, "gc": None, "reads_per_second": None, "quantiles": {"ood_score_llr": None}}
    counts = {"reads": {"in": 0, "scored": 0, "skipped": {}}, "calls": {"in": 0, "ood": 0, "na": 0}}
    run = Run.of({**SUMMARY, **nulls, **counts})
    assert cells(run) == {"reads": 0, "not_scored": 0}
    assert run.score_quantiles == {}
    nothing = Run.of({"tool": "genood", "reads": {}, "calls": {}})
    assert (cells(nothing), nothing.inputs) == ({"reads": 0, "not_scored": 0}, [])
    unknown = {"estimate": float("nan"), "low": 0, "high": 1}
    assert Run.of({**SUMMARY, "ood_fraction": unknown}).fraction is None


def test_the_level_of_a_false_discovery_rate() -> None:
    assert Run.of({**SUMMARY, "alpha": None, "fdr": 0.1}).level == "false discovery rate 0.1"


@pytest.mark.parametrize("value", [None, [], "genood", {}, {"tool": "fastp"}, {"tool": "genood"}])
def test_what_is_no_summary(value: Any) -> None:
    with pytest.raises(ForeignError, match="no summary"):
        Run.of(value)
    with pytest.raises(ForeignError, match="no result"):
        Evaluation.of(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calls": [1, 2]}, r"\[1, 2\] where names and values belong"),
        ({"calls": {"in": -1}}, "-1 where a count belongs"),
        ({"calls": {"in": 0.5}}, "0.5 where a count belongs"),
        ({"gc": "high"}, "'high' where a number belongs"),
        ({"gc": True}, "True where a number belongs"),
        ({"p_value_counts": {"0": 1}}, "where a list belongs"),
    ],
)
def test_what_is_of_another_kind(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Run.of({**SUMMARY, **change})
    assert not isinstance(error.value, ForeignError)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("A.json", "A"),
        ("folder/A_mqc.json", "A"),
        ("A_1.genood.summary.json", "A_1"),
        ("A_summary.json", "A"),
        ("mysummary.json", "mysummary"),
        ("run.evaluation.json", "run"),
        ("summary.json", ""),
        ("genood_mqc.json", ""),
    ],
)
def test_samples_are_named_by_files(name: str, sample: str) -> None:
    assert sample_of(name) == sample


def test_custom_content() -> None:
    content = json.loads(json.dumps(custom_content(SUMMARY, "out/gut_1_mqc.json"), allow_nan=False))
    assert content["data"] == {"gut_1": cells(Run.of(SUMMARY))}
    assert list(content["data"]["gut_1"]) == list(COLUMNS) == list(content["headers"])
    assert (content["id"], content["plot_type"]) == ("genood", "table")
    assert content[SUMMARY_KEY] == SUMMARY
    assert list(custom_content(SUMMARY, "genood_mqc.json")["data"]) == ["A_R1.fastq.gz"]
    piped = {**SUMMARY, "inputs": ["-"]}
    assert list(custom_content(piped, "genood_mqc.json")["data"]) == ["genood"]
    with pytest.raises(ConfigError, match=r"^a\.json: MultiQC finds .* let it end in _mqc\.json$"):
        custom_content(SUMMARY, "a.json")


def test_an_evaluation() -> None:
    interval = {"value": 0.9, "low": 0.8, "high": None}
    found = Evaluation.of(
        {
            "column": "ood_score",
            "tables": {"in": "in.tsv", "ood": "ood.tsv"},
            "reads": {"in": 3, "ood": 4},
            "without_score": {"in": 0, "ood": 0},
            "metrics": {"auroc": interval},
        }
    )
    assert found.metrics == {"auroc": 0.9, "auroc_low": 0.8}
    assert (found.tables, found.num_in, found.num_ood) == (("in.tsv", "ood.tsv"), 3, 4)
