"""One calm line for many trainings."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from geopretrain.console import console, say
from geopretrain.study.trials import Cell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class CellProgress:
    """A bar with the time left on a terminal, one line for each training elsewhere."""

    def __init__(self, title: str, total: int, complete: int, jobs: int, *, shown: bool) -> None:
        """Show ``total`` trainings to come, ``jobs`` at a time; ``complete`` were done before."""
        self.title, self.total, self.shown = title, total, shown
        self.count, self.start = 0, time.perf_counter()
        kept = f", {complete} already complete" if complete else ""
        at_a_time = f", {jobs} at a time" if jobs > 1 else ""
        say(f"{title}: {total} runs{at_a_time}{kept}.", progress=shown)
        self._live: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> CellProgress:
        """Start the bar where there is a terminal."""
        if self.shown and console().is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._live = Progress(
                TextColumn("run {task.completed}/{task.total}"),
                BarColumn(24),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console(),
                refresh_per_second=2,
            )
            self._task = self._live.add_task("first run in training", total=self.total)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def done(self, cell: Cell, answer: dict[str, Any]) -> None:
        """Count a training and say its score or its error."""
        self.count += 1
        text = f"{cell.name}: {_score(answer)}"
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self.count, description=text)
        elif self.shown:
            elapsed = time.perf_counter() - self.start
            left = elapsed / self.count * (self.total - self.count)
            rest = f"; about {_duration(left)} left" if self.count < self.total else ""
            say(f"[{self.count}/{self.total}] {text}{rest}")


def _score(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"FAILED: {answer['error']}"
    outcome = answer["outcome"]
    miou = outcome["miou"]
    return f"mIoU {'undefined' if miou is None else f'{100 * miou:.1f} %'} ({outcome['seconds']:.0f} s)"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
