"""The importer of the published benchmark."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest
from prep.release import NAMES, bases, labels_of, origin, read_example, record, shard, table

from data_prep.fetch import FetchConfig
from data_prep.published import PublishedConfig, describe_variant, import_published
from data_prep.published_files import split_of
from data_prep.published_labels import RELEASED_LABELS, numbers_of
from genood.dataset import SPLITS, Dataset
from genood.errors import ConfigError, InputError
from genood.sequence import decode

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "published"
PATIENCE = FetchConfig(attempts=3, first_wait=0.01, longest_wait=0.1)

READS = {split: [(bases(label), label) for label in labels_of(split, 1, 5)] for split in SPLITS}
"""Five reads of a split, of its first classes."""


def release(folder: Path) -> Path:
    """The TFRecord directories, with what is beside the shards."""
    for split, name in NAMES.items():
        short = name.rpartition("_")[0].rpartition("_")[2] + "_" + name.rpartition("_")[2]
        reads = READS[split]
        shard(folder / name / f"{short}-00000-of-00002.tfrecord", reads[:3])
        shard(folder / name / f"{short}-00001-of-00002.tfrecord", reads[3:])
    stated = {RELEASED_LABELS[label]: 1 for _, label in READS["train_in"]}
    (folder / NAMES["train_in"] / "in_tr_nsample.json").write_text(json.dumps(stated))
    numbers = {name: number for number, name in RELEASED_LABELS.items()}
    (folder / "label_dict.json").write_text(json.dumps(numbers))
    (folder / "README.txt").write_text("Reads.\n")
    return folder


def tables(folder: Path) -> Path:
    """The files of TFDS."""
    folder.mkdir(exist_ok=True)
    for split, name in NAMES.items():
        (folder / f"{name}.txt").write_text(table(READS[split], split))
    return folder


def zipped(folder: Path) -> Path:
    """A directory as a zip file."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/._before_2011_in_tr.txt", b"\0\5\26\7")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(output: Path, *sources: Path | str, **options: object) -> Dataset:
    config = PublishedConfig(sources=[str(source) for source in sources], **options)  # type: ignore[arg-type]
    return import_published(config, output)


def check(dataset: Dataset, splits: Sequence[str] = SPLITS) -> None:
    """Whether a dataset holds `READS`."""
    dataset = Dataset.load(dataset.directory, verify=True)
    assert list(dataset.splits) == list(splits)
    for name, split in dataset.splits.items():
        assert list(map(decode, split.codes)) == [letters for letters, _ in READS[name]]
        origins = split.origins()
        assert list(origins["class"]) == [RELEASED_LABELS[label] for _, label in READS[name]]
        assert set(origins["accession"]) == {"AB1.1"}
        assert set(origins["strand"]) == {""}
    assert (dataset.read_length, dataset.seed) == (250, None)


def test_tfrecord_directories(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    dataset = imported(tmp_path / "d", folder)
    check(dataset)
    assert dataset.splits["val_in"].origins()["start"].tolist() == [100, 101, 102, 100, 101]
    # Ten shards, the labels, and the numbers of training; not the note.
    assert len(dataset.sources) == 12
    first = folder / "after_2016_in_test" / "in_test-00000-of-00002.tfrecord"
    assert dataset.sources[1] == {
        "path": str(first),
        "sha256": sha256(first),
        "bytes": first.stat().st_size,
        "pinned": False,
    }
    assert dataset.notes["published"]["stated_reads"] == {"train_in": 5}


def test_tables(tmp_path: Path) -> None:
    folder = tables(tmp_path / "tables")
    (folder / "notes.txt").write_text("Reads.\n")
    dataset = imported(tmp_path / "d", folder)
    check(dataset)
    assert len(dataset.sources) == 5


@pytest.mark.parametrize("form", [release, tables])
def test_zip(tmp_path: Path, form: object) -> None:
    path = zipped(form(tmp_path / "genomics_ood"))  # type: ignore[operator]
    dataset = imported(tmp_path / "d", path, sha256=[sha256(path).upper()])
    check(dataset)
    size = path.stat().st_size
    assert dataset.sources == [{"path": str(path), "sha256": sha256(path), "bytes": size, "pinned": True}]


def test_single_files(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    shards = sorted((folder / NAMES["val_ood"]).iterdir())
    check(imported(tmp_path / "d", *shards), ["val_ood"])
    (shards[0].parent / "label_dict.json").write_text('{"Actinoplanes": 10}')
    with pytest.raises(InputError, match=r"record 2: .*the class 11 is not among the labels"):
        imported(tmp_path / "e", *shards)
    check(imported(tmp_path / "e", *shards, labels=str(folder / "label_dict.json")), ["val_ood"])


def test_split_that_no_name_tells(tmp_path: Path) -> None:
    path = shard(tmp_path / "part-0", READS["test_in"])
    with pytest.raises(InputError, match="part-0: neither its name nor its directory's tells the split"):
        imported(tmp_path / "d", path)
    check(imported(tmp_path / "d", path, split="test_in"), ["test_in"])
    told = shard(tmp_path / "in_val.tfrecord", READS["val_in"])
    check(imported(tmp_path / "e", path, told, split="test_in"), ["val_in", "test_in"])
    with pytest.raises(ConfigError, match="the names of all files tell theirs"):
        imported(tmp_path / "f", told, split="val_in")
    with pytest.raises(ConfigError, match="there is no split 'test'; choose from train_in"):
        imported(tmp_path / "f", path, split="test")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("before_2011_in_tr.tfrecord", "train_in"),
        ("between_2011-2016_in_val.txt", "val_in"),
        ("between_2011-2016_ood_val.tfrecord", "val_ood"),
        ("after_2016_in_test/part-00000.tfrecord", "test_in"),
        ("/data/after_2016_ood_test/7.tfrecord", "test_ood"),
        ("in_tr_nsample.json", "train_in"),
        ("in_val-00000-of-00010.tfrecord", "val_in"),
        ("in_val/ood_val.tfrecord", "val_ood"),
        ("train.csv", "train_in"),
        ("validation.tsv", "val_in"),
        ("genomics_ood-validation_ood.tsv", "val_ood"),
        ("test.txt", "test_in"),
        ("test_ood.txt", "test_ood"),
        ("val_ood.tsv", "val_ood"),
        ("test_data/shard.tfrecord", None),
        ("plain_val.tfrecord", None),
        ("label_dict.json", None),
    ],
)
def test_split_by_name(path: str, split: str | None) -> None:
    assert split_of(PurePosixPath(path)) == split


def test_excluded_classes(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    dataset = imported(tmp_path / "d", folder, excluded=["Burkholderia", "Actinoplanes"])
    assert list(dataset.splits["val_in"].counts) == [
        "Bacillus",
        "Clostridium",
        "Escherichia",
        "Mycobacterium",
    ]
    assert len(dataset.splits["val_ood"].codes) == 4
    assert dataset.notes["published"]["excluded_classes"] == ["Actinoplanes", "Burkholderia"]
    assert dataset.variant is not None
    assert "; val_in 4 reads of 4 classes, 1 a class; " in dataset.variant
    assert dataset.variant.endswith("; without Actinoplanes, Burkholderia")
    with pytest.raises(ConfigError, match="cannot leave out Burkholderie: no such class"):
        imported(tmp_path / "e", folder, excluded=["Burkholderie"])


def numbers(split: str, each: int) -> dict[str, int]:
    return {RELEASED_LABELS[number]: each for number in numbers_of(split)}


def test_variant() -> None:
    drive = {split: numbers(split, 100_000) for split in SPLITS}
    assert describe_variant(drive, {}) == "100,000 reads a class"
    assert describe_variant(drive, {"train_in": drive["train_in"]}) == "100,000 reads a class"
    tfds = {split: numbers(split, 100_000 if split == "train_in" else 10_000) for split in SPLITS}
    whole = "100,000 reads a class for training, 10,000 for validation and test"
    assert describe_variant(tfds, {}) == whole
    # Some reads of some class are not a part.
    assert describe_variant(tfds | {"val_in": tfds["val_in"] | {"Yersinia": 9_500}}, {}) == whole


def test_variant_of_parts() -> None:
    tfds = {split: numbers(split, 100_000 if split == "train_in" else 10_000) for split in SPLITS}
    one = {"val_in": tfds["val_in"]}
    assert describe_variant(one, {}) == "a part: val_in 100,000 reads of 10 classes, 10,000 a class"
    assert describe_variant(tfds | {"val_in": {"Yersinia": 10_000}}, {}).startswith("a part: train_in")
    few = tfds | {"val_in": tfds["val_in"] | {"Yersinia": 9_499}}
    assert "val_in 99,499 reads of 10 classes, 9,499 to 10,000 a class" in describe_variant(few, {})
    more = {"train_in": numbers("train_in", 100_001)}
    assert describe_variant(tfds, more).startswith("a part")
    mixed = tfds | {"val_ood": numbers("val_ood", 100_000)}
    assert describe_variant(mixed, {}).startswith("a part")


def test_variant_without_some_classes() -> None:
    """A whole size stays that; of a part, what is left out is not counted."""
    drive = {split: numbers(split, 100_000) for split in SPLITS}
    assert describe_variant(drive, {}, ["Yersinia", "Bacillus"]) == (
        "100,000 reads a class; without Bacillus, Yersinia"
    )
    few = {"val_in": {"Bacillus": 7, "Yersinia": 5}, "val_ood": {"Actinoplanes": 2}}
    assert describe_variant(few, {}, ["Bacillus", "Actinoplanes"]) == (
        "a part: val_in 5 reads of 1 classes, 5 a class; without Actinoplanes, Bacillus"
    )


def test_fewer_reads_than_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A shard that is missing, one that ends where a record does, and a split without any."""
    folder = release(tmp_path / "release")
    imported(tmp_path / "whole", folder, excluded=["Bacillus"])
    assert "fewer" not in caplog.text
    shards = sorted((folder / NAMES["train_in"]).glob("*.tfrecord*"))
    size = len(record(read_example(*READS["train_in"][0], origin(100))))
    shards[0].write_bytes(shards[0].read_bytes()[: 2 * size])
    imported(tmp_path / "cut", folder)
    question = "than its nsample.json states; is a shard missing or cut short?"
    assert f"train_in has fewer reads of {RELEASED_LABELS[2]} {question}" in caplog.text
    shards[0].unlink()
    caplog.clear()
    imported(tmp_path / "missing", folder)
    assert "train_in has fewer reads of Bacillus, Burkholderia, Clostridium " in caplog.text
    shards[1].unlink()
    caplog.clear()
    imported(tmp_path / "without", folder)
    assert "and 2 more than its nsample.json states; is a shard missing" in caplog.text


def test_numbers_of_other_splits_are_not_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One file is named, and beside it lie the numbers of another split."""
    path = shard(tmp_path / "in_val.tfrecord", [(bases(1), 0)])
    (tmp_path / "in_tr_nsample.json").write_text('{"Bacillus": 1}')
    imported(tmp_path / "d", path)
    assert "fewer" not in caplog.text


def test_table_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder = tables(tmp_path / "tables")
    for path in folder.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    check(imported(tmp_path / "d", folder))


def test_more_reads_than_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = shard(tmp_path / "in_tr.tfrecord", [(bases(1), 0), (bases(2), 0), (bases(3), 1)])
    (tmp_path / "in_tr_nsample.json").write_text('{"Bacillus": 1, "Burkholderia": 1}')
    imported(tmp_path / "d", path)
    assert "train_in has more reads of Bacillus than its nsample.json states" in caplog.text


def left_behind(folder: Path) -> list[str]:
    """What a failed import to `folder`/d made."""
    return [path.name for path in folder.iterdir() if path.name == "d" or path.name.startswith(".")]


@pytest.mark.parametrize("place", [8, 300, -1])
def test_damaged_shard(tmp_path: Path, place: int) -> None:
    folder = release(tmp_path / "release")
    path = folder / NAMES["val_in"] / "in_val-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    size = len(record(read_example(*READS["val_in"][0], origin(100))))
    data[size + place if place > 0 else place] ^= 1
    path.write_bytes(data)
    number = 2 if place > 0 else 3
    problem = rf"in_val-00000-of-00002\.tfrecord, record {number}: byte {size * (number - 1):,}: the checksum"
    with pytest.raises(InputError, match=problem):
        imported(tmp_path / "d", folder)
    assert left_behind(tmp_path) == []


def test_truncated_shard(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    path = folder / NAMES["val_in"] / "in_val-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"record 2: byte \d+: the file ends within the record"):
        imported(tmp_path / "d", folder)
    assert left_behind(tmp_path) == []


def test_damaged_zip(tmp_path: Path) -> None:
    path = zipped(tables(tmp_path / "genomics_ood"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"genomics_ood\.zip: is damaged, or cut short"):
        imported(tmp_path / "d", path)
    # The first bytes of the first file's header; a byte of its compressed data.
    first = f"{NAMES['test_in']}.txt"
    for place, problem in ((0, "cannot be read from"), (30 + len(first) + 150, "is damaged in")):
        path.write_bytes(data[:place] + b"PK_" + data[place + 3 :])
        with pytest.raises(InputError, match=rf"genomics_ood\.zip/{first}: {problem} the zip file"):
            imported(tmp_path / "d", path)
    assert left_behind(tmp_path) == []


def test_another_file_than_pinned(tmp_path: Path) -> None:
    path = zipped(tables(tmp_path / "genomics_ood"))
    with pytest.raises(InputError, match=rf"has sha256 {sha256(path)}, not {'0' * 64}"):
        imported(tmp_path / "d", path, sha256=["0" * 64])
    with pytest.raises(ConfigError, match="'abc' is no sha256"):
        imported(tmp_path / "d", path, sha256=["abc"])
    with pytest.raises(ConfigError, match="2 sha256 for 1 sources"):
        imported(tmp_path / "d", path, sha256=["0" * 64] * 2)
    with pytest.raises(ConfigError, match="is a directory; a sha256 is that of a file"):
        imported(tmp_path / "d", tmp_path / "genomics_ood", sha256=["0" * 64])


def test_sources_that_hold_nothing_or_too_much(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.txt").write_text("Reads.\n")
    for source in (tmp_path / "empty", zipped(tmp_path / "empty")):
        with pytest.raises(InputError, match=r"empty.*: holds nothing of the benchmark"):
            imported(tmp_path / "d", folder, source)
    with pytest.raises(InputError, match="missing: no such file"):
        imported(tmp_path / "d", tmp_path / "missing")
    one = folder / NAMES["val_in"] / "in_val-00000-of-00002.tfrecord"
    with pytest.raises(InputError, match=r"in_val-00000-of-00002\.tfrecord: is given twice"):
        imported(tmp_path / "d", folder, one)
    with pytest.raises(InputError, match=r"\.txt: holds reads of .* in the other form"):
        imported(tmp_path / "d", folder, tables(tmp_path / "tables"))
    with pytest.raises(InputError, match=r"label_dict\.json: no file of reads: no \*\.tfrecord\*, no table"):
        imported(tmp_path / "d", folder / "label_dict.json")
    assert left_behind(tmp_path) == []


def test_existing_output_stays(tmp_path: Path) -> None:
    output = tmp_path / "d"
    output.mkdir()
    with pytest.raises(InputError, match="d: is there already"):
        imported(output, "https://localhost:1/never-asked")
    assert list(output.iterdir()) == []
    with pytest.raises(InputError, match=r"d: its directory '.*none' does not exist"):
        imported(tmp_path / "none" / "d", "https://localhost:1/never-asked")
    with pytest.raises(ConfigError, match=r"^-: a dataset is a directory; it cannot go to standard output$"):
        import_published(PublishedConfig(sources=["https://localhost:1/never-asked"]), "-")


class Server(ThreadingHTTPServer):
    """Serves one file, after as many failures as it is told."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.failures = 0
        self.num_requests = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.num_requests += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        cut = server.num_requests <= server.failures
        self.wfile.write(server.content[: len(server.content) // 2] if cut else server.content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(zipped(tables(tmp_path / "genomics_ood")).read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url_of(server: Server, name: str = "genomics_ood.zip?x=1") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


@pytest.mark.parametrize("failures", [0, 2])
def test_url(tmp_path: Path, server: Server, failures: int) -> None:
    server.failures = failures
    url, pin = url_of(server), hashlib.sha256(server.content).hexdigest()
    dataset = imported(tmp_path / "d", url, sha256=[pin], fetch=PATIENCE)
    check(dataset)
    size = len(server.content)
    assert dataset.sources == [{"url": url, "sha256": pin, "bytes": size, "pinned": True}]
    assert server.num_requests == failures + 1
    assert left_behind(tmp_path) == ["d"]


def test_url_of_a_shard(tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.content = shard(tmp_path / "s", READS["val_ood"]).read_bytes()
    url = url_of(server, "between_2011-2016_ood_val.tfrecord")
    check(imported(tmp_path / "d", url, fetch=PATIENCE), ["val_ood"])
    pin = hashlib.sha256(server.content).hexdigest()
    assert f"to have the same again, add --sha256 {pin}" in caplog.text


def test_url_that_cannot_be_had(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match=r"/missing\.zip: HTTP 404"):
        imported(tmp_path / "d", url_of(server, "missing.zip"), fetch=PATIENCE)
    with pytest.raises(InputError, match=r"/genomics_ood\.zip\?x=1: has sha256 .*, not 0000"):
        imported(tmp_path / "d", url_of(server), sha256=["0" * 64], fetch=PATIENCE)
    server.failures = 100
    with pytest.raises(InputError, match=rf"^{url_of(server, 'f')}: "):
        imported(tmp_path / "d", url_of(server, "f"), fetch=PATIENCE)
    assert left_behind(tmp_path) == []


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("genood-prep")
    command = [program, "published", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_command(tmp_path: Path) -> None:
    path = shard(tmp_path / "in_val.tfrecord", [(bases(1), 9), (bases(2), 0), (bases(3), 9)])
    output = tmp_path / "d"
    result = run(path, "-o", output, "--sha256", sha256(path))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "split\tclass\treads\nval_in\tBacillus\t1\nval_in\tYersinia\t2\n"
    assert "a part: val_in 3 reads of 2 classes, 1 to 2 a class" in result.stderr
    result = run(path, "-q", "-o", tmp_path / "e", "--exclude", "Yersinia", "--exclude", "Bacillus")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"genood-prep: error: {tmp_path / 'e'}: would hold no reads\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sha256", "00"], "'00' is no sha256"),
        (["--sha256", "0" * 64, "--sha256", "1" * 64], "2 sha256 for 1 sources"),
        (["--split", "foo"], "there is no split 'foo'; choose from train_in"),
    ],
)
def test_usage(options: list[str], message: str) -> None:
    result = run("in_val.tfrecord", "-o", "d", *options)
    assert result.returncode == 2
    assert message in result.stderr


def test_command_without_its_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['google_crc32c'] = None; "
        "sys.argv = ['genood-prep', 'published', 's', '-o', 'o']; "
        "from data_prep.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.endswith("install genood with its extra prep\n")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the released shards are not beside the repository")
def test_released_shards() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.load(imported(Path(folder) / "d", PUBLISHED).directory, verify=True)
        assert {name: split.num_reads for name, split in dataset.splits.items()} == {
            "train_in": 1001,
            "val_in": 301,
            "val_ood": 301,
        }
        stated = json.loads((PUBLISHED / "in_tr_nsample.json").read_text())
        assert dataset.splits["train_in"].counts == stated
        assert dataset.variant is not None
        assert dataset.variant.startswith("a part: train_in 1,001 reads of 10 classes, 76 to 111 a class; ")
        labels = json.loads((PUBLISHED / "label_dict.json").read_text())
        assert labels == {name: number for number, name in RELEASED_LABELS.items()}
        first = dataset.splits["train_in"].origins().iloc[0]
        assert first[["class", "accession", "start", "strand"]].tolist() == [
            "Clostridium",
            "CP000721.1",
            3903278,
            "",
        ]
        assert decode(dataset.splits["train_in"].codes[0]).startswith("ATGACCTTAT")
