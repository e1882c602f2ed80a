from __future__ import annotations

import pytest

from geopretrain.training.progress import Clock, describe


def test_one_line_says_everything():
    timing = {"seconds_per_step": 0.5, "data_fraction": 0.031, "memory_gb": 2.44, "seconds": 9.0}
    assert describe(120, 0.08123, timing) == "loss 0.0812  2.0 steps/s  1:00 left  data 3 %  memory 2.4 GB"
    assert "4.00 s/step  8:00 left" in describe(120, 1.0, timing | {"seconds_per_step": 4.0})


def test_waiting_for_data_and_time_away_are_told_apart(monkeypatch):
    now, processor = [100.0], [7.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.process_time", lambda: processor[0])
    clock = Clock()
    clock.restart(10, waited=1.0)
    now[0] += 5.0
    processor[0] += 8.0
    with clock.leave_out():  # validation
        now[0] += 3.0
        processor[0] += 6.0
    timing = clock.interval(20, waited=3.0)
    assert timing["seconds_per_step"] == pytest.approx(0.5)
    assert timing["data_fraction"] == pytest.approx(0.4)
    assert timing["cores"] == pytest.approx(1.6)
    assert timing["seconds"] == pytest.approx(8.0)
