from __future__ import annotations

import os

import pytest

from geopretrain import processor

LINES = ["cpu  1000 0 500 8000 100 0 0 0 0 0", "cpu  1015 0 500 8004 101 0 0 0 0 0"]
"""15 ticks used and 5 not: three quarters of all cores."""


@pytest.fixture
def stat(tmp_path, monkeypatch):
    """Make each reading of the system's file give the next of the lines."""
    path, lines = tmp_path / "stat", list(LINES)
    path.write_text(lines.pop(0))
    monkeypatch.setattr(processor, "_STAT", path)
    monkeypatch.setattr("time.sleep", lambda seconds: path.write_text(lines.pop(0)))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return path


def test_busy_cores_are_the_share_of_all(stat):
    assert processor.busy_cores() == pytest.approx(3.0)


def test_threads_sleep_while_they_wait_on_a_busy_machine(stat):
    processor.choose_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_threads_wait_as_the_user_says(stat, monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    processor.choose_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize("text", [None, "", "cpu  what is this"])
def test_nothing_is_changed_where_the_system_does_not_tell(stat, text, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    stat.unlink() if text is None else stat.write_text(text)
    processor.choose_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_a_lost_core_is_told(stat, monkeypatch):
    assert "2 threads get 1.0 cores" in processor.crowded(1.0, 2)
    assert processor.crowded(1.9, 2) is None
    assert processor.crowded(0.5, 1) is None  # a single thread waits for no other
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert processor.crowded(1.0, 2) is None  # sleeping threads use few cores by themselves
