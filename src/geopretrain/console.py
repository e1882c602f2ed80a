"""What is said to the user goes through ``console``: sentences, warnings, and one line of progress.

Whether it is shown is decided once for each call of a command (its option ``progress``) and holds for
everything called inside. Every sentence is also a record of standard ``logging`` under ``geopretrain.*``, so
that programs can collect what was said; where a handler of the program's own writes it to the terminal, it
is not printed again.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING

from geopretrain.errors import calm

if TYPE_CHECKING:
    from rich.console import Console as Screen
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

PLAIN_LINE_EVERY = 30.0
"""Seconds between two lines of progress where the output is not a terminal."""

logging.getLogger("geopretrain").addHandler(logging.NullHandler())  # a library leaves handlers to programs


class Console:
    """Speaks to the user; there is one, ``console``."""

    def __init__(self) -> None:
        self._shown: ContextVar[bool] = ContextVar("geopretrain_console_shown", default=True)
        self._depth: ContextVar[int] = ContextVar("geopretrain_console_depth", default=0)
        self._line: ProgressLine | None = None
        self.left_out = False
        """Whether something that was asked for is not in what came out; the command line's exit code is 3."""

    @cached_property
    def screen(self) -> Screen:
        """What is printed on: standard output, without markup and without breaking lines."""
        from rich.console import Console as Screen

        return Screen(soft_wrap=True, highlight=False, markup=False, emoji=False)

    @property
    def shown(self) -> bool:
        """Whether what is said here is shown."""
        return self._shown.get()

    @contextmanager
    def showing(self, shown: bool) -> Iterator[None]:
        """Show what is said inside, or not; what is silent stays silent further inside."""
        token = self._shown.set(shown and self.shown)
        try:
            yield
        finally:
            self._shown.reset(token)

    def hush(self) -> None:
        """Show nothing more until what is shown is decided anew."""
        self._shown.set(False)

    @contextmanager
    def command(self) -> Iterator[None]:
        """Run a command inside; one that is called by another is a part of it."""
        token = self._depth.set(self._depth.get() + 1)
        try:
            yield
        finally:
            self._depth.reset(token)

    def suggest(self, sentence: str) -> None:
        """Print what may be done next, unless another command goes on after this one."""
        if self._depth.get() <= 1:
            self._tell(sentence, logging.INFO)

    def say(self, sentence: str) -> None:
        """Print a sentence; a record of level INFO for programs."""
        self._tell(sentence, logging.INFO)

    def warn(self, sentence: str) -> None:
        """Print a sentence that asks for attention; a record of level WARNING for programs."""
        self._tell(sentence, logging.WARNING)

    def warn_left_out(self, sentence: str) -> None:
        """Print a sentence about a part that failed while the rest went on; the exit code says so, too."""
        self.left_out = True
        self._tell(sentence, logging.WARNING)

    def show(self, picture: RenderableType) -> None:
        """Print a table or the like of ``rich``; it is not logged."""
        if self.shown:
            self.screen.print(picture)

    def _tell(self, sentence: str, level: int) -> None:
        logger = logging.getLogger(_speaker())
        logger.log(level, "%s", sentence.strip("\n"), stacklevel=3)
        if self.shown and not _printed_by_a_handler(logger, level):
            self.screen.print(calm(sentence, lines=True))

    @contextmanager
    def progress(
        self, what: str, total: int | None, *, done: int = 0, unit: str = ""
    ) -> Iterator[ProgressLine]:
        """Show how far something is, while inside.

        Args:
            what: what is done, e.g. ``step``.
            total: how many there are, None where nobody knows.
            done: how many of them are done already.
            unit: of the speed shown, e.g. ``frames``; empty where the text of ``update`` says it.
        """
        line = ProgressLine(self, what, total, done, unit)
        outermost = self._line is None
        if outermost:
            self._line = line
        line.open(live=outermost and self.shown and self.screen.is_terminal)
        try:
            yield line
        finally:
            line.close()
            if outermost:
                self._line = None


class ProgressLine:
    """One calm line: what is done, how many of how many, a bar, and a text or the time left.

    On a terminal it moves in place; elsewhere ``update`` prints it now and then.
    """

    def __init__(self, console: Console, what: str, total: int | None, done: int, unit: str) -> None:
        self._console, self._what, self._total, self._done, self._unit = console, what, total, done, unit
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._opened, self._last_plain = time.perf_counter(), 0.0

    def open(self, *, live: bool) -> None:
        """Begin; ``live``: in place on a terminal."""
        if live:
            self._live = _live_line(self._console.screen, self._unit)
            self._live.start()
        self.begin(self._what, self._total, done=self._done)

    def close(self) -> None:
        """Leave the line as it is and give the terminal back; may be repeated."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begin(self, what: str, total: int | None, *, done: int = 0) -> None:
        """Go on with something else, e.g. the next file."""
        self._what, self._total, self._done = calm(what), total, done
        if self._live is not None:
            if self._task is not None:
                self._live.remove_task(self._task)
            self._task = self._live.add_task(self._what, total=total, completed=done, text="")

    def advance(self, count: int = 1) -> None:
        """Count what is done; without a terminal a line is printed every 30 s where there is a ``unit``."""
        self.move(self._done + count)

    def move(self, done: int) -> None:
        """Say how many are done; costs next to nothing where no terminal shows it."""
        self._done = done
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self._done)
        elif self._unit and self._console.shown and self._is_due(since=self._opened):
            self._print("")

    def update(self, done: int, text: str, *, always: bool = False) -> None:
        """Show how many are done and a text: in place, or as a line every 30 s and at the end.

        Args:
            done: how many are done.
            text: what there is to say, e.g. the loss.
            always: print the line wherever there is no terminal, not only now and then.
        """
        self._done = done
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=done, text=calm(text))
        elif self._console.shown and (always or self._done == self._total or self._is_due()):
            self._print(text)

    def _print(self, text: str) -> None:
        self._last_plain = time.perf_counter()
        count = f"{self._done}" if self._total is None else f"{self._done}/{self._total}"
        self._console.screen.print(calm(f"{self._what} {count}  {text}".rstrip()))

    def _is_due(self, since: float = 0.0) -> bool:
        return time.perf_counter() - max(self._last_plain, since) > PLAIN_LINE_EVERY


def _live_line(screen: Screen, unit: str) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Rest(ProgressColumn):
        """The text given, or speed and time left."""

        def render(self, task: Task) -> Text:
            if not unit or task.fields.get("text"):
                return Text(str(task.fields.get("text", "")))
            speed = "" if task.speed is None else f"{task.speed:.0f} {unit}/s"
            left = "" if task.time_remaining is None else f"  {clock_time(task.time_remaining)} left"
            return Text(speed + left)

    description = TextColumn("{task.description}", markup=False)
    bar = BarColumn(max(6, min(24, screen.width - 74)))  # the text comes first on a narrow terminal
    columns = (description, MofNCompleteColumn(), bar, Rest())
    return Progress(*columns, console=screen, refresh_per_second=2, transient=bool(unit))


def clock_time(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _speaker() -> str:
    """Return the name of the module that speaks, below ``geopretrain``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__", ""))
    return name if name.startswith("geopretrain.") else "geopretrain"


def _printed_by_a_handler(logger: logging.Logger, level: int) -> bool:
    """Return whether a handler of the program's own writes records of this level to the terminal."""
    if not logger.isEnabledFor(level):
        return False
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
            if level >= handler.level and getattr(handler, "stream", None) in streams:
                return True
        at = at.parent if at.propagate else None
    return False


console = Console()
"""The one console."""
