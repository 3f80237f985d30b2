"""The files of a run's summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from genood.multiqc.content import custom_content
from genood.writers.streams import open_output


@contextmanager
def summary_files(summary: str | None, multiqc: str | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What writes a summary to its file and to one for MultiQC, where wanted; the former appears last."""
    with ExitStack() as stack:
        targets = [target for target in (multiqc, summary) if target is not None]
        streams = {target: stack.enter_context(open_output(target)) for target in targets}

        def write(value: Mapping[str, Any]) -> None:
            for target, stream in streams.items():
                shown = value if target == summary else custom_content(value, target)
                stream.write((json.dumps(shown, indent=2, allow_nan=False) + "\n").encode())

        yield write
