"""Custom content: a file that MultiQC shows as it is, without a plugin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from genood.errors import ConfigError
from genood.multiqc.runs import CONTENT_ENDING, Run, sample_of

SUMMARY_KEY = "genood"
"""Under which a file of custom content holds the whole summary, for the plugin."""

DESCRIPTION = (
    "finds reads that do not come from the genomes that its models were trained on: out-of-distribution "
    "(OOD) reads."
)
OOD_HELP = """
*OOD* estimates from the p-values of all reads which share of them comes from outside of the reference, with
the limits of a 95 % interval. It is low by what the detector takes for in-distribution reads, and high where
the run's in-distribution reads differ from those that p-values were calibrated with. *Called* is the share
of reads that were called `ood` one by one; some in-distribution reads are, too, by the level of the calls.
"""

COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "ood": {
        "title": "OOD",
        "description": "Estimated share of reads from outside of the reference",
        "suffix": "%",
        "scale": "OrRd",
        "format": "{:,.2f}",
        "min": 0,
        "max": 100,
    },
    "ood_low": {
        "title": "OOD ≥",
        "description": "Lower limit of the 95 % interval of that share",
        "suffix": "%",
        "scale": "OrRd",
        "format": "{:,.2f}",
        "min": 0,
        "max": 100,
    },
    "ood_high": {
        "title": "OOD ≤",
        "description": "Upper limit of the 95 % interval of that share",
        "suffix": "%",
        "scale": "OrRd",
        "format": "{:,.2f}",
        "min": 0,
        "max": 100,
    },
    "called_ood": {
        "title": "Called",
        "description": "Reads called ood, of those that are called",
        "suffix": "%",
        "scale": "PuRd",
        "format": "{:,.2f}",
        "min": 0,
        "max": 100,
    },
    "reads": {
        "title": "Reads",
        "description": "Reads of the input, those that were skipped among them",
        "scale": "Blues",
        "format": "{:,.0f}",
        "min": 0,
    },
    "not_scored": {
        "title": "Not scored",
        "description": "Reads of the input that have no score",
        "scale": "Greys",
        "format": "{:,.0f}",
        "min": 0,
    },
    "gc": {
        "title": "GC",
        "description": "G and C among the scored bases",
        "suffix": "%",
        "scale": "PuBuGn",
        "format": "{:,.1f}",
        "min": 0,
        "max": 100,
    },
    "median_length": {
        "title": "Length",
        "description": "Median length of the scored reads, bases",
        "scale": "Greens",
        "format": "{:,.0f}",
        "min": 0,
    },
}
"""What a table shows of a run, in MultiQC's terms."""


def cells(run: Run) -> dict[str, Any]:
    """The row of a run in a table with `COLUMNS`; what is not known is left out."""
    fraction = run.fraction
    values = {
        "ood": None if fraction is None else fraction.estimate,
        "ood_low": None if fraction is None else fraction.low,
        "ood_high": None if fraction is None else fraction.high,
        "called_ood": run.percent_called,
        "reads": run.num_reads,
        "not_scored": sum(run.skipped.values()),
        "gc": run.gc,
        "median_length": run.median_length,
    }
    return {name: value for name, value in values.items() if value is not None}


def check_content_name(path: str) -> None:
    """Raise ConfigError unless MultiQC finds custom content by this name."""
    if not path.endswith(CONTENT_ENDING):
        raise ConfigError(
            f"{path}: MultiQC finds what --multiqc writes by its name; let it end in {CONTENT_ENDING}"
        )


def custom_content(summary: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A table with one row, which MultiQC puts together with those of other files; and the summary.

    Parameters
    ----------
    summary
        Of a run, as `genood.writers.Summary.to_json` gives it.
    path
        Where it will be. The sample is named by it, or by the first input where it names none.

    Raises
    ------
    ConfigError
        MultiQC would not find it by that name.
    ValueError
        The summary is none.
    """
    check_content_name(path)
    run = Run.of(summary)
    sample = sample_of(path) or os.path.basename(next(iter(run.inputs), "")).strip("-") or "genood"
    return {
        "id": "genood",
        "section_name": "genood",
        "description": DESCRIPTION,
        "helptext": OOD_HELP,
        "plot_type": "table",
        "pconfig": {"id": "genood_table", "title": "genood: runs"},
        "headers": COLUMNS,
        "data": {sample: cells(run)},
        SUMMARY_KEY: summary,
    }
