"""Steps of a recipe as jobs of a launcher: several at a time, in processes here or on other machines."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from geopretrain.compute import fewer_threads_where_shared
from geopretrain.config.saved import as_saved
from geopretrain.console import ProgressLine, clock_time, console
from geopretrain.errors import RunFolderError
from geopretrain.recipes.commands import REDONE, function, options_class
from geopretrain.recipes.plan import Step
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import given, plain
from geopretrain.study.launchers.work import Answer

LOOK = 10.0
"""Seconds between looks at how far trainings are."""


@dataclass(frozen=True)
class StepJob:
    """A call of a command, in plain values.

    Attributes:
        name: of the step.
        command: as it is typed.
        values: of its options, without those that are left to their defaults.
    """

    name: str
    command: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def runner(self) -> str:
        """What does it."""
        return f"{__name__}:{run_job.__name__}"

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> StepJob:
        """Return the job that was sent as JSON."""
        return cls(**content)


def job_of(step: Step, *, overwrite: bool) -> StepJob:
    """Return what a step calls, with whole paths: other machines begin elsewhere. A run that was interrupted
    goes on."""
    known = [one.name for one in fields(options_class(step.command))]
    more = {"resume": not overwrite, "overwrite": overwrite or step.command in REDONE}
    saved = as_saved(step.command, step.options)
    values = {name: saved.get(name, plain(value)) for name, value in given(step.options).items()}
    return StepJob(step.name, step.command, values | {n: v for n, v in more.items() if n in known})


def run_job(job: StepJob, threads: int | None = None, device: str = "auto") -> dict[str, float]:
    """Do what a step calls, quietly, and return the ``seconds`` that it took.

    Args:
        job: of the step.
        threads: to compute with, where the recipe does not fix them; None: its share.
        device: to compute on, likewise.

    Raises:
        UserError: what the command raises.
    """
    own = {name: value for name, value in job.values.items() if (name, value) != ("device", "auto")}
    values = {"device": device, **({} if threads is None else {"threads": threads}), **own}
    with console.showing(False), fewer_threads_where_shared():
        return {"seconds": call(replace(job, values=values))}


def call(job: StepJob) -> float:
    """Do what a step calls, and return the seconds that it took.

    Raises:
        UserError: what the command raises.
    """
    begin = time.perf_counter()
    function(job.command)(**job.values)
    gc.collect()  # trainers and networks refer to each other: they would stay until some later collection
    return time.perf_counter() - begin


@contextmanager
def watching(steps: Sequence[Step]) -> Iterator[Watch]:
    """Say how far the trainings of steps are, while inside."""
    with console.progress("finished", len(steps)) as line:
        watch = Watch(line, steps)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()


class Watch(threading.Thread):
    """Looks now and then how far trainings are, wherever they run: their folders say it."""

    def __init__(self, line: ProgressLine, steps: Sequence[Step]) -> None:
        super().__init__(daemon=True)
        self.line, self.steps = line, {step.name: step for step in steps}
        self.going, self.ended = set(self.steps), 0
        self._over, self._writing = threading.Event(), threading.Lock()
        self._context = copy_context()  # of the thread that makes it: whether anything is shown

    def run(self) -> None:
        """Look until it is over."""
        self._context.run(self._look)

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            with self._writing:
                far = [text for name in self.steps if name in self.going and (text := self._how_far(name))]
                if far:
                    self.line.update(self.ended, ", ".join(far))

    def end(self, name: str, answer: Answer) -> None:
        """Say how a step has ended, and what its training warns of."""
        failed, step = answer.get("error"), self.steps[name]
        said = f": FAILED: {failed}" if failed else f" in {clock_time(answer['outcome']['seconds'])}"
        with self._writing:
            self.going.discard(name)
            self.ended += 1
            self.line.update(self.ended, f"{name}{said}", always=True)
        for sentence in () if failed else _warnings(step):
            console.warn(f"{name}: {sentence}")

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def _how_far(self, name: str) -> str:
        """Return the step that a training is at, empty where nothing is known of it."""
        run = RunFolder(self.steps[name].folder)
        try:
            records = [] if run.finished else run.metrics("train")
            total = run.config.get("steps") if records else None
        except (OSError, RunFolderError):  # about to be written, or made anew
            return ""
        return f"{name} at step {records[-1]['step']} of {total}" if records else ""


def _warnings(step: Step) -> Sequence[str]:
    """Return what a training said at its end."""
    run = RunFolder(step.folder)
    return run.results.get("warnings", ()) if run.is_ours() and run.finished else ()
