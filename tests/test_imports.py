"""Imports run one way, and the command line starts without torch."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = [
    {"errors", "registry", "overlap", "rounding", "threads", "compiling", ""},
    {"sequence", "recipes", "files", "multiqc", "text"},
    {"dataset"},
    {"readers"},
    {"intake"},
    {"reference"},
    {"context"},
    {"models", "bundles"},
    {"bundle"},
    {"detectors", "training"},
    {"calibration", "metrics", "ensemble"},
    {"forward", "stretches"},
    {"engine"},
    {"making"},
    {"writers", "evaluation"},
    {"report"},
    {"scoring", "attack"},
    {"plots"},
    {"tune"},
    {"benchmark"},
    {"cli"},
    {"__main__"},
]
"""Modules and packages of genood, lowest first; "" is ``genood/__init__.py``."""

PREP_MAY_IMPORT = {
    "",
    "errors",
    "sequence",
    "readers",
    "files",
    "dataset",
    "reference",
    "cli",
}
"""`cli` for the one place where errors become exit codes."""

NEED_TORCH = {
    "genood.models.device",
    "genood.training.distributed",
    "genood.training.randomness",
    "genood.models.network",
    "genood.models.lstm",
    "genood.models.cast_lstm",
    "genood.models.cnn",
    "genood.training.checkpoints",
    "genood.models.examples",
    "genood.training.draws",
    "genood.training.device_reads",
    "genood.training.learners",
    "genood.training.classifier_learner",
    "genood.training.feeding",
    "genood.training.stepping",
    "genood.models.lstm_gradients",
    "genood.models.one_core",
    "genood.context.fitting",
    "genood.training.loop",
    "genood.making.build",
    "genood.making.build_members",
    "genood.attack.slopes",
    "genood.tune.stepwise",
}
"""Modules that import torch; all others do without, and import none of these before they must."""


NOT_ASKED_FOR = {
    "compression": "Python's, from 3.14 on",
    "isal": "xopen's, on processors that have it; the import is tried",
}
"""Why setup.cfg need not name it."""


def imports_of(path: Path, *, at_start_only: bool = False) -> set[str]:
    """Modules that a file imports; a name imported from a package counts as a module if it is one."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_start_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if is_module(name)}
            found |= modules
            if modules != names:
                found.add(node.module)
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT / "genood")
    return relative.parts[0].removesuffix(".py").replace("__init__", "")


def genood_files() -> list[Path]:
    return sorted((ROOT / "genood").rglob("*.py"))


def genood_modules() -> dict[str, Path]:
    """The same by module name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in genood_files()
    }


def layer_of(part: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


def test_every_module_has_a_layer() -> None:
    assert {part_of(path) for path in genood_files()} == set().union(*LAYERS)


@pytest.mark.parametrize("path", genood_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path: Path) -> None:
    mine = part_of(path)
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        assert package != "data_prep"
        if package == "genood":
            theirs = rest.partition(".")[0]
            assert theirs == mine or layer_of(theirs) < layer_of(mine), f"{mine} imports {theirs}"


def test_data_prep_imports_little() -> None:
    for path in (ROOT / "data_prep").rglob("*.py"):
        for name in imports_of(path):
            if name.partition(".")[0] == "genood":
                assert name.partition(".")[2].partition(".")[0] in PREP_MAY_IMPORT, f"{path}: {name}"


def test_what_is_imported_is_asked_for() -> None:
    """By setup.cfg, of whoever installs genood or one of its extras; the tests' own does not count."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = {name: text for name, text in config["options.extras_require"].items() if name != "test"}
    lines = "\n".join([config["options"]["install_requires"], *extras.values()]).splitlines()
    asked = {re.split(r"[ <>=;]", line)[0].lower() for line in lines if line and not line.startswith("#")}
    distributions = packages_distributions()
    for path in [*genood_files(), *(ROOT / "data_prep").rglob("*.py")]:
        for name in {found.partition(".")[0] for found in imports_of(path)} - sys.stdlib_module_names:
            if name not in ("genood", "data_prep", *NOT_ASKED_FOR):
                known = {found.lower() for found in distributions.get(name, [name])}
                assert known & asked, f"{path}: {name} of {known}"


def test_no_module_circle() -> None:
    names = genood_modules()
    graph = {name: imports_of(path, at_start_only=True) & set(names) for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for below in graph[name] - {name}:
                visit(below, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_torch_is_kept_out() -> None:
    for name, path in genood_modules().items():
        if name in NEED_TORCH:
            continue
        assert not any(found.partition(".")[0] == "torch" for found in imports_of(path)), name
        assert not imports_of(path, at_start_only=True) & {*NEED_TORCH, "safetensors.torch"}, name


def test_modules_that_need_torch_are_there_and_import_it() -> None:
    for name in NEED_TORCH:
        assert "torch" in imports_of(genood_modules()[name]), name


@pytest.mark.parametrize("path", genood_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if part_of(path) in ("cli", "__main__"):
        return
    called = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    assert not called & {"print", "exit", "sys.exit", "quit"}
    assert not {"rich", "click"} & {name.partition(".")[0] for name in imports_of(path)}
