from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import asdict, replace

import filelock
import pytest

from geopretrain import locks
from geopretrain.errors import DataError, RunFolderError
from geopretrain.folders import check_free, owned

HOLDS = """
import sys, os
from geopretrain.folders import owned
with owned(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "dies":
        os._exit(9)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds a folder until it is told to end."""
    started = []

    def start(ends="tidies"):
        words = [sys.executable, "-c", HOLDS, str(tmp_path / "out"), ends]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def everything_in(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_second_process_learns_who_the_first_is_and_changes_nothing(other, tmp_path):
    out = tmp_path / "out"
    process = other()
    before = everything_in(out)
    for attempt in (lambda: owned(out).__enter__(), lambda: check_free(out)):
        with pytest.raises(RunFolderError, match=rf"written by process {process.pid} on .*since 20"):
            attempt()
    assert everything_in(out) == before
    process.communicate("end\n")
    with owned(out):
        assert (out / ".geopretrain" / "owner.json").is_file()
    assert not out.exists() or not any(out.iterdir())


def test_a_killed_owner_is_known_to_be_gone(other, tmp_path):
    process = other("dies")
    process.communicate("end\n")
    assert process.returncode == 9
    assert (tmp_path / "out/.geopretrain/owner.json").is_file()
    check_free(tmp_path / "out")
    with owned(tmp_path / "out"):
        pass


def test_the_same_thread_may_hold_a_folder_twice_and_nothing_is_left(tmp_path):
    (tmp_path / "out").mkdir()
    with owned(tmp_path / "out"), owned(tmp_path / "out"):
        check_free(tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_made_for_nothing_goes_again(tmp_path):
    with pytest.raises(DataError), owned(tmp_path / "a" / "b"):
        raise DataError
    assert not (tmp_path / "a" / "b").exists()


def test_temporary_files_of_a_killed_process_go_and_those_of_others_stay(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "another" / ".geopretrain").mkdir(parents=True)
    for name in (".a.png.77.partial", "figures/.b.png.77.partial", "another/.c.png.77.partial"):
        (tmp_path / name).write_text("half")
    with owned(tmp_path):
        there = [path.name for path in tmp_path.rglob("*.partial")]
    assert there == [".c.png.77.partial"]


def left_by(folder, **changes):
    """Leave a folder as a killed process would."""
    (folder / ".geopretrain").mkdir(parents=True)
    owner = replace(locks.this_process(), **changes)
    (folder / ".geopretrain/owner.json").write_text(json.dumps(asdict(owner)))


def test_an_owner_on_another_machine_is_named_with_the_way_out(tmp_path):
    left_by(tmp_path, host="elsewhere", boot="1234", pid=77)
    with (
        pytest.raises(RunFolderError, match=r"process 77 on elsewhere.*remove .*owner\.json"),
        owned(tmp_path),
    ):
        pass
    (tmp_path / ".geopretrain/owner.json").unlink()
    with owned(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "null"])
def test_a_damaged_owner_does_not_matter(tmp_path, text):
    (tmp_path / ".geopretrain").mkdir()
    (tmp_path / ".geopretrain/owner.json").write_text(text)
    with owned(tmp_path):
        pass


@pytest.fixture
def no_locks(monkeypatch):
    """A disk that knows no locks, as some network disks."""

    def refuse(self, *args, **named):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)


def test_without_locks_of_the_disk_the_named_owner_counts(no_locks, tmp_path):
    left_by(tmp_path / "here")  # this very process
    with pytest.raises(RunFolderError, match="being written"), owned(tmp_path / "here"):
        pass
    left_by(tmp_path / "far", host="elsewhere")
    with pytest.raises(RunFolderError, match=r"on elsewhere.*remove"), owned(tmp_path / "far"):
        pass
    with owned(tmp_path / "new"):
        assert (tmp_path / "new/.geopretrain/owner.json").is_file()
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not locks.this_process().started, reason="the system does not say when a process started")
@pytest.mark.parametrize("changes", [{"started": "1"}, {"boot": "before"}, {"pid": 2**22 + 1}])
def test_without_locks_a_process_that_is_gone_is_known_also_when_its_number_is_used_again(
    no_locks, tmp_path, changes
):
    left_by(tmp_path, **changes)
    with owned(tmp_path):
        pass


def test_what_is_said_of_a_command_is_one_printable_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x/__main__.py", "pretrain", "a\nb\x1b[31m" + "c" * 500])
    command = locks.this_process().command
    assert command.startswith("geopretrain pretrain")
    assert command.isprintable()
    assert len(command) <= 120
