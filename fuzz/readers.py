"""Fuzz the readers, guided by coverage of their Python code.

Run as ``python fuzz/readers.py TARGET [OPTION...]``; the targets are the formats and compressions of
``tests/damage.py``, from whose small files it starts, and options are libFuzzer's, such as
``-max_total_time=60``. Whatever comes of the files has to be read as a plain parser reads it, or to be
refused by an InputError; all else ends the run and is written to ``crash-...``. htslib and the
decompressors are not instrumented, and a crash in them is theirs to mend.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
with atheris.instrument_imports(include=["genood", "dnaio", "xopen", "numpy.lib"]):
    import damage


def main() -> None:
    """Fuzz the target that is named."""
    targets = {name.replace(" ", "-"): (name, damage.check_compressed) for name in damage.COMPRESSIONS}
    targets |= {name: (name, damage.check_format) for name in damage.FORMATS}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"usage: {sys.argv[0]} {{{','.join(targets)}}} [libFuzzer option...]")
    name, check = targets[sys.argv[1]]
    form = damage.FORMATS.get(name)
    whole = form.whole if form is not None else damage.COMPRESSIONS[name][0](damage.FASTQ)
    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as corpus:
        (Path(corpus) / "whole").write_bytes(whole)
        atheris.Setup([sys.argv[0], "-timeout=20", *sys.argv[2:], corpus], partial(check, name))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
