from __future__ import annotations

import logging
import sys

import pytest

from geopretrain.console import clock_time, console


@pytest.fixture
def lines(capsys):
    """Return what has been printed since the last call."""
    return lambda: capsys.readouterr().out.splitlines()


def test_what_is_silent_stays_silent_further_inside(lines):
    console.say("one")
    with console.showing(False):
        console.say("two")
        with console.showing(True):
            console.warn("three")
    console.warn("four")
    assert lines() == ["one", "four"]


def test_every_sentence_is_a_record_under_geopretrain(caplog):
    caplog.set_level(logging.INFO, logger="geopretrain")
    with console.showing(False):
        console.say("said")
        console.warn("warned")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "said"),
        ("WARNING", "warned"),
    ]
    assert all(record.name.split(".")[0] == "geopretrain" for record in caplog.records)


def test_records_name_the_module_that_speaks(caplog, tmp_path):
    from geopretrain.study.progress import trial_progress

    caplog.set_level(logging.INFO, logger="geopretrain")
    with trial_progress("Training", 3, 1, 2):
        pass
    (record,) = caplog.records
    assert record.name == "geopretrain.study.progress"
    assert record.getMessage() == "Training: 3 runs, 2 at a time, 1 already complete."


def test_nothing_is_printed_twice(capsys):
    handler = logging.StreamHandler(sys.stderr)  # as logging.basicConfig makes it
    logger = logging.getLogger("geopretrain")
    logger.addHandler(handler)
    before = logger.level
    try:
        console.say("below the level of the program's logging")
        logger.setLevel(logging.INFO)
        console.say("written by the handler")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    printed = capsys.readouterr()
    assert printed.out == "below the level of the program's logging\n"
    assert printed.err == "written by the handler\n"


def test_without_a_terminal_progress_is_a_line_now_and_then(lines, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    with console.progress("step", 40) as line:
        for step in range(1, 41):
            now[0] += 2.0
            line.move(step)
            line.update(step, f"loss {step}")
    assert lines() == [
        "step 1/40  loss 1",
        "step 17/40  loss 17",
        "step 33/40  loss 33",
        "step 40/40  loss 40",
    ]
    with console.progress("reading", 30, unit="images") as line:
        for _ in range(30):
            now[0] += 2.0
            line.advance()
    assert lines() == ["reading 16/30"]
    with console.showing(False), console.progress("step", 2) as line:
        line.update(2, "loss")
    assert lines() == []


def test_on_a_terminal_one_line_at_a_time_moves(monkeypatch):
    from rich.console import Console as Screen

    screen = Screen(force_terminal=True, width=80)
    monkeypatch.setitem(vars(console), "screen", screen)
    with screen.capture() as captured, console.progress("a.mp4", 10, unit="frames") as line:
        line.advance(3)
        with console.progress("step", 5) as inner:
            inner.update(5, "loss 0.1")
        line.begin("b.mp4", None)
        line.advance(4)
        console.say("In between.")
    assert "In between." in captured.get()
    assert console._line is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3725, "1:02:05")])
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text


def test_what_may_be_done_next_is_said_by_the_outermost_command_alone(lines):
    with console.command():
        with console.command():
            console.suggest("Next: inner")
            console.say("done")
        console.suggest("Next: outer")
    console.suggest("Next: alone")
    assert lines() == ["done", "Next: outer", "Next: alone"]
