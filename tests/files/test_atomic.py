"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from genood.errors import ConfigError, InputError
from genood.files import (
    appear_together,
    atomic_path,
    check_distinct,
    check_outside,
    check_writable,
    sha256_ahead,
    sha256_of,
    write_json,
    write_text,
    writing_to,
)
from genood.files.directories import new_directory
from genood.writers import open_output


def test_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "table.tsv"
    with atomic_path(target) as path:
        assert path.parent == tmp_path
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "table.tsv"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as path:
            path.write_text("half")
            raise ValueError("disk on fire")

    with pytest.raises(ValueError, match="disk on fire"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_interrupt_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    def write_half() -> None:
        with atomic_path(tmp_path / "table.tsv") as path:
            path.write_text("half")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("together", [False, True])
def test_interrupt_as_soon_as_the_file_is_there_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    def closed_then_interrupted(descriptor: int) -> None:
        monkeypatch.undo()
        os.close(descriptor)
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    def begin() -> None:
        monkeypatch.setattr(os, "close", closed_then_interrupted)
        with appear_together() if together else nullcontext(), atomic_path(tmp_path / "table.tsv"):
            pytest.fail("was not interrupted")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert list(tmp_path.iterdir()) == []


def test_kill_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "table.tsv"
    target.write_text("old")
    script = (
        "import sys\n"
        "from genood.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path, open(path, 'w') as stream:\n"
        "    stream.write('half')\n"
        "    stream.flush()\n"
        "    print('half', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, target], stdin=pipe, stdout=pipe) as process:
        assert process.stdout.readline() == b"half\n"
        process.kill()
        assert process.wait(timeout=60) == -9
    assert target.read_text() == "old"
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["half", "old"]


def test_two_writers_of_one_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers, where process numbers are the same: the last to end wins, whole."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    target = tmp_path / "table.tsv"
    with atomic_path(target) as slow:
        slow.write_text("slow, fir")
        with atomic_path(target) as fast:
            assert fast != slow
            fast.write_text("fast")
        assert target.read_text() == "fast"
        assert slow.read_text() == "slow, fir"
        slow.write_text("slow, first and last")
    assert target.read_text() == "slow, first and last"
    assert list(tmp_path.iterdir()) == [target]


def test_many_writers_of_one_target(tmp_path: Path) -> None:
    target = tmp_path / "table.tsv"
    texts = [str(i) * 50_000 for i in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda text: write_text(target, text), texts * 3))
    assert target.read_text() in texts
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_the_system_refuses_is_said_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the temporary file, of which the user knows nothing."""
    target = tmp_path / "table.tsv"

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with atomic_path(target) as path, open(path, "w") as stream:
            if monkeypatched == "write":
                raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))
            stream.write("text")

    for monkeypatched in ("fsync", "replace", "write"):
        with monkeypatch.context() as patch:
            if monkeypatched != "write":
                patch.setattr(os, monkeypatched, refuse)
            with pytest.raises(InputError) as caught:
                write()
        assert str(caught.value) == f"{target}: cannot be written (No space left on device)"
        assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    for error in (
        OSError(errno.EIO, "Input/output error", "reads.fq"),
        BrokenPipeError(errno.EPIPE, "closed"),
    ):
        with pytest.raises(OSError) as caught, atomic_path(tmp_path / "x"):  # noqa: PT011
            raise error
        assert caught.value is error
    with pytest.raises(BrokenPipeError), writing_to("standard output"):
        raise BrokenPipeError
    with pytest.raises(InputError, match=r"^x: its reader has gone$"), writing_to("x"):
        raise BrokenPipeError


def test_files_that_appear_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they were begun, an index after its table, once all are whole."""
    names: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (replace(a, b), names.append(b.name)))
    (tmp_path / "stale").touch()
    with appear_together():
        with atomic_path(tmp_path / "a", stale=[os.fspath(tmp_path / "stale")]) as a:
            with atomic_path(tmp_path / "b"), appear_together():
                pass
            with atomic_path(tmp_path / "a.index", after=a):
                pass
            with pytest.raises(ValueError, match="not to be"), atomic_path(tmp_path / "c"):
                raise ValueError("not to be")
        assert names == []
        assert (tmp_path / "stale").exists()
    assert names == ["a", "a.index", "b"]
    assert sorted(os.listdir(tmp_path)) == ["a", "a.index", "b"]


def test_none_appears_if_one_fails(tmp_path: Path) -> None:
    def write() -> None:
        with appear_together():
            write_text(tmp_path / "a", "a")
            write_text(tmp_path / "none" / "b", "b")

    with pytest.raises(InputError, match="does not exist"):
        write()
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / "a", "a")
    assert os.listdir(tmp_path) == ["a"]


def test_descriptor_of_a_file_is_appended_to(tmp_path: Path) -> None:
    """By any of its names; another process's, too."""
    log = tmp_path / "log"
    log.write_text("LOG\n")
    with log.open("a") as stream:
        (tmp_path / "link").symlink_to(f"/dev/fd/{stream.fileno()}")
        names = [f"/dev/fd/{stream.fileno()}", f"/proc/self/fd/{stream.fileno()}", str(tmp_path / "link")]
        for name in names:
            write_text(name, "more\n")
            with open_output(name) as output:
                output.write(b"more\n")
            check_writable([name])
            with pytest.raises(ConfigError, match="two outputs have the same name"):
                check_distinct([], [names[0], name])
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=stream) as process:
            with open_output(f"/proc/{process.pid}/fd/1") as output:
                output.write(b"more\n")
            process.stdin.close()
    assert log.read_text() == "LOG\n" + 7 * "more\n"
    assert sorted(os.listdir(tmp_path)) == ["link", "log"]


def test_outputs_outside_a_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "bundle", tmp_path / "bundle2"
    inside.mkdir()
    (tmp_path / "link").symlink_to(inside)
    check_outside(inside, ["-", "/dev/null", str(outside), str(tmp_path)])
    for folder in (inside, tmp_path / "link"):
        for name in (inside / "new" / "x", inside, tmp_path / "link" / "x"):
            with pytest.raises(ConfigError, match=r": lies in the bundle .*; write elsewhere$"):
                check_outside(folder, [str(name)])


def test_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "real.tsv").write_text("old")
    link = tmp_path / "link.tsv"
    link.symlink_to("folder/real.tsv")
    with atomic_path(link) as path:
        assert path.parent == folder
        path.write_text("new")
    assert link.is_symlink()
    assert (folder / "real.tsv").read_text() == "new"
    assert list(folder.iterdir()) == [folder / "real.tsv"]


def test_dangling_link_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link.tsv"
    link.symlink_to("later.tsv")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "later.tsv").read_text() == "new"


def test_device_is_written_to_directly() -> None:
    with atomic_path("/dev/null") as path:
        assert path == Path("/dev/null")
        path.write_text("gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_named_pipe_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with atomic_path(pipe) as path:
        assert path == pipe
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_pipe_without_a_name(tmp_path: Path) -> None:
    """As /dev/stdout is in a pipeline."""
    reading, writing = os.pipe()
    link = tmp_path / "stdout"
    link.symlink_to(f"/dev/fd/{writing}")
    try:
        with atomic_path(link) as path:
            path.write_text("through")
        assert os.read(reading, 100) == b"through"
    finally:
        os.close(reading)
        os.close(writing)


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r": is a directory; name a file$"):
        write_text(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_is_refused() -> None:
    """As of a shell's variable that is not set; it would be the current directory."""
    message = "^the name of an output is empty; is it a variable of the shell that is not set\\?$"
    with pytest.raises(ConfigError, match=message):
        check_writable(["-", None, ""])
    with pytest.raises(ConfigError, match=message), atomic_path(""):
        pass
    with pytest.raises(ConfigError, match=message), new_directory("", "a dataset"):
        pass


def test_a_directory_that_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, not the temporary one beside it."""

    def refuse(path: str | Path, *_: object) -> None:
        raise OSError(1, "Operation not permitted", str(path))

    for owner, name in ((Path, "mkdir"), (os, "rename")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            with pytest.raises(InputError) as error, new_directory(tmp_path / "d", "a dataset"):
                pass
        assert str(error.value) == f"{tmp_path / 'd'}: cannot be written (Operation not permitted)"
    assert not list(tmp_path.iterdir())


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "none" / "table.tsv"
    with pytest.raises(InputError) as caught:
        write_text(target, "text")
    assert str(caught.value) == f"{target}: its directory {str(target.parent)!r} does not exist"
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_refused_before_the_work(tmp_path: Path) -> None:
    before = tmp_path / "before.tsv"
    before.write_text("old")
    check_writable(["-", None, "/dev/null", str(before), str(tmp_path / "new.tsv")])
    assert before.read_text() == "old"
    with pytest.raises(InputError, match=r"table\.tsv: its directory '.*none' does not exist"):
        check_writable([str(tmp_path / "new.tsv"), str(tmp_path / "none" / "table.tsv")])
    with pytest.raises(InputError, match="is a directory; name a file"):
        check_writable([str(tmp_path)])
    assert list(tmp_path.iterdir()) == [before]


def test_directory_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so that the answer is made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    with pytest.raises(InputError, match=r"table\.tsv: cannot write into "):
        write_text(tmp_path / "table.tsv", "text")
    assert list(tmp_path.iterdir()) == []


def test_new_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    """Also where the writer made a file of its own that only its owner can read."""
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "new") as path:
            path.unlink()
            path.touch(mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "private"
    target.touch(mode=0o600)
    write_text(target, "secret")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [1, None]})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_only_numbers(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "µ\n")
    assert (tmp_path / "x").read_bytes() == b"\xc2\xb5\n"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # More than is read at once.
    (tmp_path / "long").write_bytes(b"ab" * 1_000_000)
    assert sha256_of(tmp_path / "long") == hashlib.sha256(b"ab" * 1_000_000).hexdigest()


def test_distinct_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    a, link = str(tmp_path / "a"), str(tmp_path / "link")
    check_distinct([a, "-"], ["-", None, str(tmp_path / "b")])
    check_distinct([a], ["/dev/null", "/dev/null"])
    for inputs, outputs, message in (
        ([a], [link], "is both an input and an output"),
        ([], [a, link], "two outputs have the same name"),
        ([], ["-", "-"], "two outputs have the same name"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_distinct(inputs, outputs)


def test_sha256_ahead(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    hashes = sha256_ahead([tmp_path / "abc", tmp_path / "none"])
    assert hashes[tmp_path / "abc"].result() == sha256_of(tmp_path / "abc")
    with pytest.raises(FileNotFoundError):
        hashes[tmp_path / "none"].result()
    assert sha256_ahead([]) == {}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that takes no files, even of root")
def test_where_no_file_can_be_made_the_target_is_named() -> None:
    with pytest.raises(InputError, match=r"^/proc/x\.tsv: cannot be written \("), atomic_path("/proc/x.tsv"):
        pass
