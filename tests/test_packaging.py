"""Recipes and definitions for other ecosystems: that they say what genood is and call it as it can be called.

Linters of the ecosystems are heavy, and not for each run: ``make lint-packaging`` has them.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from command_lines import calls_in, parse
from conftest import Genood

from genood import __version__

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "packaging"
MODULES = PACKAGING / "nf-core" / "modules" / "genood"
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def requirements(text: str) -> dict[str, str]:
    """Least versions by package, of a list in setup.cfg."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].partition(">=")
            found[name.strip()] = version.strip()
    return found


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """Bioconda's, as conda-build would render it."""
    template = jinja2.Template(
        (PACKAGING / "bioconda" / "meta.yaml").read_text(), undefined=jinja2.StrictUndefined
    )
    text = template.render(PYTHON="python", pin_subpackage=lambda name, max_pin: f"{name} pinned {max_pin}")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_bioconda_asks_for_what_genood_asks_for(recipe: dict[str, Any]) -> None:
    config = setup()
    asked = requirements(config["options"]["install_requires"])
    for extra in ("figures", "parquet", "report"):
        asked |= requirements(config["options.extras_require"][extra])
    expected = {
        f"{CONDA_NAMES.get(name, name)} >={version}".removesuffix(" >=") for name, version in asked.items()
    }
    run = {line for line in recipe["requirements"]["run"] if not line.startswith("python ")}
    assert run == expected
    assert recipe["package"]["version"] == __version__
    scripts = config["options.entry_points"]["console_scripts"].split("\n")
    assert recipe["build"]["entry_points"] == [line for line in scripts if line]


def test_bioconda_recipe_has_what_its_linter_wants(recipe: dict[str, Any]) -> None:
    """By its documented checks: https://bioconda.github.io/contributor/linting.html."""
    about, build, needs = recipe["about"], recipe["build"], recipe["requirements"]
    assert {"home", "summary", "license", "license_file"} <= set(about)  # missing_home, _summary, _license
    assert (ROOT / about["license_file"]).is_file()
    assert not about["summary"].endswith(".")
    assert build["number"] == 0  # missing_build_number
    assert build["noarch"] == "python"  # should_be_noarch_python
    assert build["run_exports"] == ["genood pinned x.x"]  # missing_run_exports
    assert "skip" not in build  # should_not_be_noarch_skip
    assert re.fullmatch("[0-9a-f]{64}", str(recipe["source"]["sha256"]).zfill(64))  # missing_hash
    assert f"genood-{__version__}.tar.gz" in recipe["source"]["url"]  # uses_vcs_url
    assert "setuptools" not in {line.split()[0] for line in needs["run"]}  # uses_setuptools
    assert recipe["test"]["commands"]  # no_tests
    assert recipe["extra"]["recipe-maintainers"]
    for line in (*needs["host"], *needs["run"]):  # version_constraints_missing_whitespace
        assert re.fullmatch(r"[a-z0-9._-]+( [<>=!]=?[0-9.,<>=]+)?", line), line
    for command in recipe["test"]["commands"]:
        for words in calls_in(command):
            parse(words)


def galaxy_tool() -> ElementTree.Element:
    return ElementTree.parse(PACKAGING / "galaxy" / "genood_score.xml").getroot()


def galaxy_calls(text: str, **values: str) -> list[list[str]]:
    """Calls in a command of Galaxy's, its every branch taken; variables by value, or else by name."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = " ".join(lines).replace(r"\${GALAXY_SLOTS:-1}", "1")
    named = re.sub(r"\$(?:\w+\.)?(\w+)", lambda name: values.get(name[1], name[1]), joined)
    return [words for line in named.split("&&") for words in calls_in(line)]


def test_galaxy_calls_genood_as_it_can_be_called() -> None:
    text = galaxy_tool().findtext("command") or ""
    values = {"model": "markov", "fdr": "0.1", "alpha": "0.05", "min_length": "1", "min_quality": "0"}
    train, score = galaxy_calls(text, **values)
    assert train[:2] == ["genood", "train"]
    assert {"--paired", "--fdr", "--alpha", "--summary", "--min-quality"} <= set(score)
    parse(train)
    parse(score)
    models = [option.get("value") for option in galaxy_tool().iter("option")][:2]
    for model in models:
        parse(galaxy_calls(text, **{**values, "model": str(model)})[0])


def test_galaxy_is_of_this_version() -> None:
    macros = ElementTree.parse(PACKAGING / "galaxy" / "macros.xml").getroot()
    tokens = {token.get("name"): token.text for token in macros.iter("token")}
    assert tokens["@TOOL_VERSION@"] == __version__
    for data in galaxy_tool().iterfind(".//tests//param"):
        if data.get("ftype"):
            assert (PACKAGING / "galaxy" / "test-data" / str(data.get("value"))).is_file()


def nextflow_script(module: str, **values: str) -> str:
    """The command of a module, with Nextflow's variables replaced."""
    text = (MODULES / module / "main.nf").read_text()
    script = text.partition("script:")[2].split('"""')[1].replace("\\\\\n", "\\\n")
    return re.sub(r"\$\{?([\w.]+)\}?", lambda name: values[name[1]], script)


def test_nextflow_calls_genood_as_it_can_be_called(tmp_path: Path, genood: Genood, bundle_dir: Path) -> None:
    common = {"args": "", "task.cpus": "1"}
    reads = str(ROOT / "tests" / "data" / "reads.fastq")
    train = nextflow_script("train", prefix="bundle", fasta="one.fasta two.fasta", **common)
    score = {"prefix": "one", "bundle": str(bundle_dir), **common}
    pairs = nextflow_script("score", **score, paired="--paired", reads="r_1.fastq r_2.fastq")
    single = nextflow_script("score", **score, paired="", reads=reads)
    for script in (train, pairs, single):
        (words,) = calls_in(" ".join(shlex.split(script)))
        parse(words)
    result = genood(*words[1:], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.summary.json", "one.tsv.gz"]


@pytest.mark.parametrize("module", ["train", "score"])
def test_nextflow_is_of_this_version(module: str) -> None:
    environment = yaml.safe_load((MODULES / module / "environment.yml").read_text())
    assert environment["dependencies"] == [f"bioconda::genood={__version__}"]
    assert f"genood:{__version__}--" in (MODULES / module / "main.nf").read_text()
    described = yaml.safe_load((MODULES / module / "meta.yml").read_text())
    assert described["name"] == f"genood_{module}"


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_containers_are_of_this_version(name: str) -> None:
    text = (PACKAGING / "docker" / name).read_text()
    assert f'image.version="{__version__}"' in text
    assert "ENTRYPOINT" not in text
    extras = re.findall(r"'\.\[([a-z,]+)\]'", text)
    assert set(extras[0].split(",")) <= set(setup()["options.extras_require"])
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"genood", "data_prep", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"} <= kept


def test_scripts_of_packaging_are_sound() -> None:
    for script in PACKAGING.rglob("*.sh"):
        subprocess.run(["bash", "-n", script], check=True)
