"""One calm line for many trainings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geopretrain.console import ProgressLine, clock_time, console
from geopretrain.study.contests import contest_of
from geopretrain.study.learning_rate import DIVERGED
from geopretrain.study.trials import Trial


@contextmanager
def trial_progress(title: str, total: int, complete: int, jobs: int | None) -> Iterator[TrialProgress]:
    """Show ``total`` trainings to come, ``jobs`` at a time (None: who knows); ``complete`` are done."""
    kept = f", {complete} already complete" if complete else ""
    at_a_time = f", {jobs} at a time" if jobs is not None and jobs > 1 else ""
    console.say(f"{title}: {total} runs{at_a_time}{kept}.")
    with console.progress("run", total) as line:
        yield TrialProgress(line, total)


class TrialProgress:
    """Counts trainings: in place on a terminal, a line for each elsewhere."""

    def __init__(self, line: ProgressLine, total: int) -> None:
        self.line, self.total = line, total
        self.count, self.start = 0, time.perf_counter()

    def done(self, trial: Trial, answer: dict[str, Any]) -> None:
        """Count a training and say its score or its error."""
        self.count += 1
        text = f"{trial.name}: {_score(trial, answer)}"
        left = (time.perf_counter() - self.start) / self.count * (self.total - self.count)
        rest = f"; about {clock_time(left)} left" if self.count < self.total else ""
        self.line.update(self.count, text + rest, always=True)


def _score(trial: Trial, answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"FAILED: {answer['error']}"
    outcome = answer["outcome"]
    if DIVERGED in outcome:
        return f"diverged: this rate is not chosen ({outcome['seconds']:.0f} s)"
    measure = contest_of(trial.task).measure
    score = outcome[measure.key]
    shown = "undefined" if score is None else f"{measure.show(score)}{' %' if measure.percent else ''}"
    return f"{measure.name} {shown} ({outcome['seconds']:.0f} s)"
