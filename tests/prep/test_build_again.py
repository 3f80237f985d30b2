"""A build into a directory of an earlier one: what is kept, made anew or refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prep.mirror import Mirror
from prep.toy_genbank import BASES, CONFIG, DATA, build_all, genbank, run_build

from data_prep.build import open_build
from data_prep.build_record import BuildRecord, content_of, differences
from data_prep.catalogue import CatalogueConfig
from data_prep.download import DownloadConfig
from data_prep.lock import sole_writer
from genood.dataset import Dataset
from genood.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def finished(sequences: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of `CONFIG`; tests must not change it."""
    directory = tmp_path_factory.mktemp("finished") / "d"
    with Mirror(sequences) as server:
        server.files |= genbank()
        download = DownloadConfig(base_url=server.url)
        build_all(directory, replace(CONFIG, download=download))
    return directory


@pytest.fixture
def built(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "built"))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the build said since it was last asked."""
    messages = [each.getMessage() for each in caplog.records if each.name == "genood.prep.build"]
    caplog.clear()
    return messages


def test_a_finished_build_is_left_as_it_is(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = contents(built)
    caplog.set_level("INFO")
    summaries = build_all(built, CONFIG)
    assert contents(built) == before
    assert logged(caplog) == [
        f"{built / name} is there, made from the same" for name in ("catalogue.tsv", "plan.tsv", "dataset")
    ]
    assert summaries[:2] == [
        ("train_in", "Bacillus", 2, 2 * BASES, 2 * (BASES - 249), 30),
        ("train_in", "Yersinia", 2, 2 * BASES, 2 * (BASES - 249), 30),
    ]
    # Nor do genomes and reports have to stay.
    shutil.rmtree(built / "genomes")
    shutil.rmtree(built / "reports")
    assert build_all(built, CONFIG) == summaries


def test_all_keys_of_the_record_are_documented(finished: Path) -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    names = set(re.findall(r"`(\w+)`", page.partition("### build.json\n")[2].partition("\n#")[0]))
    record = json.loads((finished / "build.json").read_text())
    assert names == {*record} | {key for entry in record["products"].values() for key in entry}


def test_what_was_removed_is_made_again(built: Path) -> None:
    before = contents(built)
    for left in ("dataset.new", ".dataset.new.1.tmp"):  # by a process that was killed
        (built / left).mkdir()
    for product in ("catalogue.tsv", "plan.tsv"):
        (built / product).unlink()
    shutil.rmtree(built / "dataset")
    build_all(built, CONFIG)
    after = contents(built)
    for name in before.keys() - {"build.json"}:
        assert after[name] == before[name], name
    assert after.keys() == before.keys()
    assert not [*built.glob("*.new"), *built.glob(".*.tmp")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": replace(CONFIG.plan, num_in=1)}, "plan.tsv was made with num_in 2 rather than 1"),
        (
            {"plan": replace(CONFIG.plan, as_of=None, train_before=date(2010, 1, 1))},
            "plan.tsv was made with as_of 2019-01-01 rather than none, "
            "train_before 2011-01-01 rather than 2010-01-01",
        ),
        (
            {"catalogue": CatalogueConfig(levels=("contig", "complete"))},
            "catalogue.tsv was made with levels complete rather than complete and contig",
        ),
        ({"classes": "paper"}, "plan.tsv was made with classes none rather than paper"),
        ({"draw": replace(CONFIG.draw, seed=1)}, "dataset was made with seed 0 rather than 1"),
        (
            {"draw": replace(CONFIG.draw, split_reads={"val_in": 9})},
            "dataset was made with split_reads none rather than val_in=9",
        ),
    ],
)
def test_a_dataset_is_not_replaced_unless_asked(built: Path, changes: dict[str, Any], message: str) -> None:
    before = contents(built)
    with pytest.raises(InputError) as error:
        build_all(built, replace(CONFIG, **changes))
    advice = "build in another directory, or have dataset replaced (--redo)"
    assert str(error.value) == f"{built}: {message}; {advice}"
    assert contents(built) == before


def test_a_dataset_is_replaced_when_asked(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = replace(
        CONFIG, plan=replace(CONFIG.plan, num_ood=1), draw=replace(CONFIG.draw, reads_per_class=20)
    )
    caplog.set_level("INFO")
    summaries = build_all(built, config, redo=True)
    assert logged(caplog) == [
        f"{built}/catalogue.tsv is there, made from the same",
        f"{built}/plan.tsv was made with num_ood 2 rather than 1; it is made anew",
        f"{built}/dataset was made with other content of plan.tsv, reads_per_class 30 rather than 20; "
        "it is made anew",
    ]
    assert [(each.split, each.num_reads) for each in summaries if each.split.endswith("ood")] == [
        ("val_ood", 20),
        ("test_ood", 20),
    ]
    assert Dataset.load(built / "dataset", verify=True).splits["val_ood"].num_reads == 20
    assert not list(built.glob("*.new"))
    assert build_all(built, config) == summaries


def test_a_dataset_survives_a_replacement_that_fails(built: Path) -> None:
    dataset = contents(built / "dataset")
    too_many = replace(CONFIG, draw=replace(CONFIG.draw, reads_per_class=10**6))
    with pytest.raises(InputError, match="too few windows"):
        build_all(built, too_many, redo=True)
    assert contents(built / "dataset") == dataset
    assert not list(built.glob("*.new"))
    build_all(built, CONFIG)
    assert contents(built / "dataset") == dataset


NEW_DRAW = replace(CONFIG, draw=replace(CONFIG.draw, reads_per_class=20))


def of_val_in(dataset: Path) -> int:
    """Reads of a class that a whole dataset has."""
    return min(Dataset.load(dataset, verify=True).splits["val_in"].counts.values())


BUSY = OSError(16, "Device or resource busy")


@contextmanager
def no_dataset_removed(error: BaseException) -> Iterator[None]:
    """A block in which a whole dataset cannot be removed."""
    remove = shutil.rmtree

    def raise_of_dataset(path: Path, **options: Any) -> None:
        if Path(path, "dataset.json").exists():
            raise error
        remove(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", raise_of_dataset)
        yield


def test_an_old_dataset_that_cannot_be_removed(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The new one takes its place all the same; a later build tries again."""
    with no_dataset_removed(BUSY):
        build_all(built, NEW_DRAW, redo=True)
    assert of_val_in(built / "dataset") == 20
    (old,) = built.glob(".dataset.*.tmp")
    assert logged(caplog) == [
        f"{old}, an old dataset, cannot be removed (Device or resource busy); remove it"
    ]
    assert of_val_in(old) == 30
    build_all(built, NEW_DRAW)
    assert not [*built.glob("*.new"), *built.glob(".*.tmp")]


def test_an_interrupt_while_the_old_dataset_is_removed(built: Path) -> None:
    with no_dataset_removed(KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        build_all(built, NEW_DRAW, redo=True)
    assert of_val_in(built / "dataset") == 20
    build_all(built, NEW_DRAW)
    assert not list(built.glob(".*.tmp"))


def test_a_dataset_behind_a_link_is_replaced(
    built: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The link goes, and what it led to stays, as it is not the build's."""
    elsewhere = tmp_path / "elsewhere"
    shutil.move(built / "dataset", elsewhere)
    (built / "dataset").symlink_to(elsewhere)
    build_all(built, NEW_DRAW, redo=True)
    assert of_val_in(built / "dataset") == 20
    assert not (built / "dataset").is_symlink()
    assert of_val_in(elsewhere) == 30
    assert logged(caplog) == [f"{built}/dataset was a link to {elsewhere}, which is left as it is"]
    build_all(built, NEW_DRAW)


@pytest.mark.parametrize("number", [1, 2], ids=["the old one", "the new one"])
def test_a_dataset_that_cannot_be_renamed(built: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The old one stays, with what is known of it, and the new one beside it."""
    record = json.loads((built / "build.json").read_text())
    rename, names = os.replace, []

    def busy(source: Path, target: Path) -> None:
        if "dataset" in (Path(source).name, Path(target).name):
            names.append(target)
            if len(names) == number:
                raise BUSY
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", busy)
        with pytest.raises(InputError) as error:
            build_all(built, NEW_DRAW, redo=True)
    assert str(error.value) == (
        f"{built}/dataset: cannot be replaced (Device or resource busy); the new one is {built}/dataset.new"
    )
    assert of_val_in(built / "dataset") == 30
    assert of_val_in(built / "dataset.new") == 20
    assert json.loads((built / "build.json").read_text()) == record
    build_all(built, CONFIG)


def test_an_end_before_the_record_is_written(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new plan is not taken for the old one."""

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    other = replace(CONFIG, plan=replace(CONFIG.plan, num_in=1))
    with monkeypatch.context() as patch:
        patch.setattr(BuildRecord, "note", end)
        with pytest.raises(KeyboardInterrupt):
            build_all(built, other, redo=True)
    with pytest.raises(InputError, match=r"plan\.tsv: is there, but build\.json does not say from what"):
        build_all(built, CONFIG)


def test_a_plan_without_a_dataset_is_made_anew(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As one tries options before anything is drawn."""
    shutil.rmtree(built / "dataset")
    caplog.set_level("INFO")
    sizes = []
    for num_ood in (1, 2):
        config = replace(CONFIG, plan=replace(CONFIG.plan, num_ood=num_ood))
        with open_build(built, config) as build:
            build.make_catalogue()
            plan = build.make_plan()
        sizes.append(None if plan is None else len(plan.genomes))
        assert ("it is made anew" in logged(caplog)[-1]) is True
    assert sizes == [10, 12]


def test_an_edited_plan_is_used(built: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(built / "dataset")
    plan = built / "plan.tsv"
    lines = plan.read_text().splitlines(keepends=True)
    plan.write_text("".join(line for line in lines if "Archangium" not in line))
    summaries = build_all(built, CONFIG)
    assert logged(caplog) == [f"{plan} was edited after it was made, and is taken as it is"]
    assert [each.class_name for each in summaries if each.split == "val_ood"] == ["Advenella"]
    # Edited once more, it is another one than that of the dataset.
    plan.write_text("".join(lines))
    with pytest.raises(InputError, match=r"dataset was made with other content of plan\.tsv; "):
        build_all(built, CONFIG)
    shutil.rmtree(built / "dataset")
    plan.write_text("".join(line for line in lines if "Archangium" not in line))
    other = replace(CONFIG, plan=replace(CONFIG.plan, num_in=1))
    with pytest.raises(InputError, match=r"num_in 2 rather than 1; .* or have plan\.tsv replaced \(--redo\)"):
        build_all(built, other)
    assert len(build_all(built, other, redo=True)) == 7


def test_an_edited_plan_is_not_lost_to_another_catalogue(built: Path) -> None:
    """What is refused has changed nothing yet."""
    shutil.rmtree(built / "dataset")
    plan = built / "plan.tsv"
    plan.write_text(plan.read_text().replace("Archangium", "Arthrobacter"))
    before = contents(built)
    other = replace(CONFIG, catalogue=CatalogueConfig(levels=("complete", "scaffold")))
    message = r"catalogue\.tsv was made with levels .* or have plan\.tsv replaced \(--redo\)"
    with pytest.raises(InputError, match=message):
        build_all(built, other)
    assert contents(built) == before
    BuildRecord(built).forget("plan.tsv")
    before = contents(built)
    with pytest.raises(InputError, match=r"plan\.tsv: is there, but build\.json does not say from what"):
        build_all(built, other, redo=True)
    assert contents(built) == before


@pytest.mark.parametrize("entry", [{"class": "Bacillus"}, ["train_in"], {"split": "val_in", "class": "B"}])
def test_a_dataset_whose_sources_are_damaged(built: Path, entry: object) -> None:
    path = built / "dataset" / "dataset.json"
    metadata = json.loads(path.read_text())
    metadata["sources"][0] = entry
    path.write_text(json.dumps(metadata))
    with pytest.raises(InputError) as error:
        build_all(built, CONFIG)
    assert str(error.value) == (
        f"{path}: is damaged: a source lacks its split, its class or a number; remove {built / 'dataset'} to "
        "have it drawn again"
    )


@pytest.mark.parametrize("product", ["catalogue.tsv", "plan.tsv", "dataset"])
def test_what_is_not_of_the_build_is_not_touched(built: Path, product: str) -> None:
    BuildRecord(built).forget(product)
    before = contents(built)
    for redo in (False, True):
        with pytest.raises(InputError, match=f"{product}: is there, but build.json does not say from what"):
            build_all(built, CONFIG, redo=redo)
    assert contents(built) == before


def test_one_build_at_a_time(built: Path) -> None:
    with sole_writer(built, "build"):
        result = run_build(built)
    assert result.returncode == 1
    assert result.stderr == (
        f"genood-prep: error: {built}: another build into it is running; wait for its end\n"
    )


def test_directories_that_cannot_be_built_in(built: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="is not a directory"):
        build_all(file, CONFIG)
    record = built / "build.json"
    for text, message in (
        ("{", "build.json: cannot be read"),
        ("[]", "build.json: cannot be read"),
        ('{"format_version": 1, "products": {"plan.tsv": {}}}', "build.json: is damaged"),
        ('{"format_version": 2, "products": {}}', "build.json: has format 2, of a newer genood"),
    ):
        record.write_text(text)
        with pytest.raises(InputError, match=message):
            build_all(built, CONFIG)
        assert record.read_text() == text


def test_differences() -> None:
    one, other = content_of(DATA / "README.md"), content_of(DATA / "prokaryotes_2021.txt")
    old = {"a": 1, "b": None, "c": one, "d": [one], "e": ["x"], "f": {"s": 1}, "g": one, "h": []}
    assert differences(old, dict(reversed(old.items()))) == []
    new = {"a": 2, "b": "x", "c": other, "d": [one, other], "e": ["x", "y"], "f": {}, "g": None, "h": [one]}
    assert differences(old, new) == [
        "a 1 rather than 2",
        "b none rather than x",
        "other content of c",
        "other d",
        "e x rather than x and y",
        "f s=1 rather than none",
        "g a file rather than none",
        "other h",
    ]
    # An option that came with a later version.
    assert differences({"a": 1}, {"a": 1, "b": None, "c": 3}) == ["c none rather than 3"]
