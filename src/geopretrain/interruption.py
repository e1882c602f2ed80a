"""Signals that ask to stop: Ctrl-C, SIGTERM and SIGHUP mean the same, and a second one ends at once.

The command line answers them from its first moment on (`answering`). Where nothing is in progress that is
worth finishing, the first one raises `Interrupted`; what is written is atomic, so that nothing is torn.
Inside `finishing` it is only noted, for a training that looks at it after each step.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is not everywhere


class Interrupted(KeyboardInterrupt):
    """The user or the system asked to stop; ``number`` is that of the signal."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = int(number)


class Answer:
    """What this process does about signals.

    Attributes:
        asked: the signal that asked to stop, None while none did.
        second: called with the number of each further signal.
    """

    def __init__(self, second: Callable[[int], None]) -> None:
        self.asked: int | None = None
        self.second = second
        self._finishing = 0
        self._previous: dict[int, Any] = {}

    def take(self) -> None:
        """Become the handler of the signals that the process does not ignore (as under ``nohup``)."""
        if threading.current_thread() is not threading.main_thread():
            return  # only there can handlers be set
        for number in _numbers():
            there = signal.getsignal(number)
            if there != signal.SIG_IGN and there != self.hear:
                self._previous.setdefault(number, there)
                signal.signal(number, self.hear)

    def give_back(self) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def previous(self, number: int) -> None:
        """Do what would have been done without us."""
        signal.signal(number, self._previous.get(number, signal.SIG_DFL))
        os.kill(os.getpid(), number)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        if self.asked is not None:
            self.second(number)
            return
        self.asked = number
        if not self._finishing:
            raise Interrupted(number)

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Only note signals inside; one that nobody has answered is raised at the end."""
        self._finishing += 1
        try:
            yield
        finally:
            self._finishing -= 1
        if self.asked is not None and not self._finishing:
            raise Interrupted(self.asked)


_current: Answer | None = None


@contextmanager
def answering(second: Callable[[int], None] | None = None) -> Iterator[Answer]:
    """Answer signals inside: the first one raises `Interrupted`, a second one ends the process at once.

    Args:
        second: called with the number of each further signal instead.
    """
    global _current
    outer, _current = _current, Answer(second or end_at_once)
    mine = _current
    mine.take()
    try:
        yield mine
    finally:
        if threading.current_thread() is threading.main_thread():
            mine.give_back()
        _current = outer


@contextmanager
def finishing() -> Iterator[Answer]:
    """Let what is in progress be finished: look at ``asked`` now and then, and raise `Interrupted`.

    Called by a program that does not answer signals as the command line does, handlers of its own stay; the
    default ones are replaced inside, and a second signal does what it always did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Answer(lambda number: None)
        return
    if _current is not None:
        with _current.waits():
            yield _current
        return
    answer = Answer(lambda number: answer.previous(number))
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL):
        answer.take()
    try:
        with answer.waits():
            yield answer
    finally:
        answer.give_back()


def check() -> None:
    """Raise `Interrupted` where a signal asked to stop and whatever was being called has swallowed that."""
    if _current is not None and _current.asked is not None:
        raise Interrupted(_current.asked)


def end_at_once(number: int) -> None:
    """End this process as a signal would; what is on the disk is whole at any moment."""
    with suppress(OSError):
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")  # a progress line had hidden the cursor
        os.write(2, b"\nStopped at once.\n")
    os._exit(128 + number)


def ignore(*names: str) -> None:
    """Leave signals of these names to another process, where the system has them."""
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _numbers() -> list[int]:
    names = [name for name in _NAMES if hasattr(signal, name)]
    if sys.platform == "win32":
        names += [name for name in ("SIGBREAK",) if hasattr(signal, name)]
    return [int(getattr(signal, name)) for name in names]
