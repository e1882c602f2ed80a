"""A comparison that is asked to stop, and one that runs beside another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comparing import write_labelled, write_pretrained

HELPERS = Path(__file__).parents[1] / "helpers"
SCRIPT = """
import sys
from geopretrain import cli
from geopretrain.study import worker
worker.RUNNER = "fake_runner:waits"
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def words(tmp_path):
    root = write_labelled(tmp_path / "labelled", {"train": 2, "val": 2, "test": 2}, ("road", "sky"))
    depth = write_pretrained(tmp_path / "depth")
    given = [
        "--inits",
        f"random,{depth.path}",
        "--data",
        root,
        "--out",
        tmp_path / "cmp",
        "--labels",
        "2",
        "--steps",
        "2",
    ]
    return ["compare", *map(str, given), "--device", "cpu", "--seeds", "4"]


def start(words):
    path = f"{HELPERS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def processes(process, out, count):
    """Wait until so many trials are in training; return their processes."""
    deadline = time.monotonic() + 120
    while len(found := list((out / "trials").glob("*/process"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(path.read_text() or 0) for path in found]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z" if os.path.isdir("/proc") else True


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
@pytest.mark.parametrize(("name", "whole_group"), [("SIGTERM", False), ("SIGINT", True), ("SIGHUP", True)])
def test_the_workers_are_told_and_none_is_left(words, tmp_path, name, whole_group):
    """A terminal sends its signals to all processes, ``kill`` to one."""
    number = getattr(signal, name)
    process = start([*words, "--jobs", "2"])
    workers = processes(process, tmp_path / "cmp", 2)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert said == "\nInterrupted. Repeat the command to continue; what is finished is kept.\n"
    assert not any(map(is_alive, workers))
    kept = [path.read_text() for path in (tmp_path / "cmp" / "trials").glob("*/kept")]
    assert kept == [str(int(signal.SIGTERM))] * 2


def test_a_second_comparison_in_the_same_folder_changes_nothing(words, tmp_path):
    first = start([*words, "--jobs", "1"])
    try:
        processes(first, tmp_path / "cmp", 1)
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cmp").rglob("*")}
        for more in ([], ["--overwrite"]):
            second = start([*words, *more])
            _, said = second.communicate(timeout=120)
            assert second.returncode == 2
            assert f"is being written by process {first.pid} on" in said
            assert len(said.splitlines()) == 1
        after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cmp").rglob("*")}
        assert after.keys() == before.keys()
    finally:
        first.kill()
        first.communicate()
