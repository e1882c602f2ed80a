from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress

import pytest

from geopretrain import interruption
from geopretrain.interruption import Interrupted, answering, finishing

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_interrupts_and_handlers_are_given_back(number):
    before = handlers()
    with pytest.raises(KeyboardInterrupt) as stop, answering():
        os.kill(os.getpid(), number)
    assert isinstance(stop.value, Interrupted)
    assert stop.value.number == number
    assert handlers() == before


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("outer", [True, False])
def test_what_is_in_progress_is_finished(number, outer):
    def work():
        with finishing() as answer:
            os.kill(os.getpid(), number)
            done.append(answer.asked)

    done, before = [], handlers()
    with pytest.raises(Interrupted) as stop, answering() if outer else nullcontext():
        work()
    assert done == [number]
    assert stop.value.number == number
    assert handlers() == before


def test_a_swallowed_interruption_is_raised_at_the_next_check():
    with answering():
        with suppress(KeyboardInterrupt):  # as some libraries do while they are imported
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            interruption.check()
    interruption.check()


def test_handlers_of_a_program_stay(monkeypatch):
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with finishing() as answer:
            os.kill(os.getpid(), signal.SIGINT)
        assert heard == [signal.SIGINT]
        assert answer.asked is None
    finally:
        signal.signal(signal.SIGINT, before)


SECOND = """
import os, signal, sys, time
from geopretrain.interruption import answering, finishing
with answering(), finishing() as answer:
    os.kill(os.getpid(), signal.SIGTERM)
    print("finishing", answer.asked, flush=True)
    os.kill(os.getpid(), signal.{second})
    print("never", flush=True)
"""


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_at_once(second):
    script = SECOND.format(second=second)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 128 + getattr(signal, second)
    assert ended.stdout == f"finishing {int(signal.SIGTERM)}\n"
    assert "Stopped at once" in ended.stderr


IGNORED = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from geopretrain.interruption import answering
with answering():
    os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""


def test_what_nohup_ignores_stays_ignored():
    ended = subprocess.run([sys.executable, "-c", IGNORED], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "goes on\n")


STARTS = """
import os, signal, sys
import geopretrain.cli as cli
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}" and sys.meta_path[0] is self:
            del sys.meta_path[0]
            os.kill(os.getpid(), signal.{number})
sys.meta_path.insert(0, Finder())
sys.exit(cli.main({words}))
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["pretrain", "monodepth", "--data", "x", "--out", "y"],
            "The run had not begun; repeat the command.",
        ),
        (["compare", "--data", "x", "--inits", "random", "--out", "y"], "Repeat the command to continue"),
        (["data", "prepare", "x", "--out", "y"], "Repeat the command to continue"),
        (["data", "inspect", "x"], "Nothing was changed; repeat the command."),
    ],
)
@pytest.mark.parametrize(("number", "module"), [("SIGTERM", "numpy"), ("SIGHUP", "pydantic")])
def test_every_command_answers_while_it_starts(words, says, number, module, tmp_path):
    (tmp_path / "x").mkdir()  # what does not exist is refused before anything is imported
    script = STARTS.format(module=module, number=number, words=words)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 128 + getattr(signal, number)
    assert ended.stderr == f"\nInterrupted. {ended.stderr.partition('Interrupted. ')[2]}"
    assert says in ended.stderr
    assert list(tmp_path.rglob("*")) == [tmp_path / "x"]
