"""What MultiQC calls before it looks for files, and before its modules run."""

from __future__ import annotations

import json
import os
from typing import Any

from multiqc import config, report

from genood.multiqc.content import SUMMARY_KEY
from genood.multiqc.runs import CONTENT_ENDING, Run

CONTENT, SUMMARIES, EVALUATIONS = "genood/content", "genood/summary", "genood/evaluation"


def before_config() -> None:
    """Tell MultiQC what to look for; a user's configuration, which is read later, can change it.

    Custom content is MultiQC's own as soon as a file's name ends that way, so that ours comes first, and
    shares what it finds.
    """
    patterns: dict[str, dict[str, Any]] = {
        CONTENT: {"fn": f"*{CONTENT_ENDING}", "shared": True},
        SUMMARIES: {"fn": "*.json", "contents": '"tool": "genood"', "num_lines": 5},
        EVALUATIONS: {"fn": "*.json", "contents": ['"without_score": {', '"metrics": {'], "num_lines": 30},
    }
    others = {key: value for key, value in config.sp.items() if key not in patterns}
    config.sp = patterns | others


def before_modules() -> None:
    """Take the custom content of genood from MultiQC, which would show once more what the plugin shows."""
    ours = [file for file in report.files.get(CONTENT, []) if _holds_summary(file)]
    places = {(file["root"], file["fn"]) for file in ours}
    left = [f for f in report.files.get("custom_content", []) if (f["root"], f["fn"]) not in places]
    report.files[CONTENT] = ours
    report.files["custom_content"] = left


def _holds_summary(file: Any) -> bool:
    try:
        with open(os.path.join(file["root"], file["fn"]), encoding="utf-8") as stream:
            Run.of(json.load(stream)[SUMMARY_KEY])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return True
