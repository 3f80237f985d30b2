"""The plugin: a module of MultiQC, whose log calls it as this file is called."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from multiqc import config
from multiqc.base_module import BaseMultiqcModule, ModuleNoSamplesFound
from natsort import natsorted

from genood.multiqc import sections
from genood.multiqc.content import COLUMNS, DESCRIPTION, SUMMARY_KEY, cells
from genood.multiqc.hooks import CONTENT, EVALUATIONS, SUMMARIES
from genood.multiqc.runs import Evaluation, ForeignError, Run, sample_of

logger = logging.getLogger("multiqc.genood")
"""MultiQC shows messages below its own name."""
_MOST_INPUTS = 2
"""Files by which a sample is named: one, or those of both mates."""
_IN_GENERAL = ("ood", "ood_low", "ood_high", "called_ood", "reads")


class MultiqcModule(BaseMultiqcModule):
    """Summaries of `genood score`, by itself or for MultiQC, and results of `genood evaluate`."""

    def __init__(self) -> None:
        super().__init__(name="genood", anchor="genood", info=DESCRIPTION)
        runs = self.ignore_samples(self._runs())
        evaluations = self.ignore_samples(self._evaluations())
        if not runs and not evaluations:
            raise ModuleNoSamplesFound
        logger.info("Found %d runs and %d evaluations", len(runs), len(evaluations))
        if runs:
            self._show_runs(runs)
        if evaluations:
            rows = {name: sections.evaluation_cells(found) for name, found in evaluations.items()}
            self.write_data_file(rows, "multiqc_genood_evaluations")
            self.add_section(**sections.separation(rows))

    def _runs(self) -> dict[str, Run]:
        """Runs by the name of their sample."""
        found: dict[str, Run] = {}
        for key in (CONTENT, SUMMARIES):
            for file in self.find_log_files(key):
                value = self._content(file)
                if key == CONTENT and isinstance(value, dict):
                    value = value.get(SUMMARY_KEY)
                try:
                    run = Run.of(value)
                except ValueError as error:
                    self._leave_out(file, error)
                    continue
                name = self._sample(file, run)
                if found.get(name, run) != run:
                    logger.debug("Duplicate sample name found! Overwriting: %s", name)
                found[name] = run
                self.add_data_source(file, s_name=name)
                self.add_software_version(run.version, sample=name)
        return dict(natsorted(found.items()))

    def _evaluations(self) -> dict[str, Evaluation]:
        """Evaluations by the name of their file, or else by those of the tables."""
        found = {}
        for file in self.find_log_files(EVALUATIONS):
            try:
                evaluation = Evaluation.of(self._content(file))
            except ValueError as error:
                self._leave_out(file, error)
                continue
            name = sample_of(file["fn"])
            if name:
                name = self.clean_s_name(name, file)
            else:
                name = " / ".join(self.clean_s_name(table, file) for table in evaluation.tables)
            if name in found:
                logger.debug("Duplicate sample name found! Overwriting: %s", name)
            found[name] = evaluation
            self.add_data_source(file, s_name=name, section="evaluations")
        return found

    def _content(self, file: Mapping[str, Any]) -> Any:
        try:
            return json.loads(file["f"] or "")
        except ValueError as error:
            logger.warning("%s is left out, as it is no JSON: %s", file["fn"], error)
            return None

    def _leave_out(self, file: Mapping[str, Any], error: ValueError) -> None:
        level = logging.DEBUG if isinstance(error, ForeignError) else logging.WARNING
        logger.log(level, "%s is left out: %s", file["fn"], error)

    def _sample(self, file: Mapping[str, Any], run: Run) -> str:
        """By the file; where that is called summary.json, by the input, or else by the directory."""
        name = sample_of(file["fn"])
        if not name and 1 <= len(run.inputs) <= _MOST_INPUTS and "-" not in run.inputs:
            return str(self.clean_s_name(list(run.inputs), file))
        directory = os.path.basename(os.path.abspath(file["root"]))
        return str(self.clean_s_name(name or directory, file))

    def _show_runs(self, runs: Mapping[str, Run]) -> None:
        rows = {name: cells(run) for name, run in runs.items()}
        self.write_data_file(
            {name: row | sections.run_cells(runs[name]) for name, row in rows.items()}, "multiqc_genood"
        )
        self.general_stats_addcols(rows, _general_headers())
        shown = (
            sections.calls(runs),
            sections.p_values(runs),
            sections.scores(runs),
            sections.details(runs),
        )
        for section in shown:
            if section is not None:
                self.add_section(**section)


def _general_headers() -> dict[str, dict[str, Any]]:
    """Columns of the general statistics, of which some are shown only when asked for."""
    headers = {name: {**column, "hidden": name not in _IN_GENERAL} for name, column in COLUMNS.items()}
    for name in ("reads", "not_scored"):
        headers[name] |= {
            "title": f"{config.read_count_prefix} {headers[name]['title']}".strip(),
            "description": f"{headers[name]['description']} ({config.read_count_desc})",
            "modify": lambda number: number * config.read_count_multiplier,
            "shared_key": "read_count",
            "format": "{:,.2f}",
        }
    return headers
