"""One calm line while training: step, loss, speed, time left, fraction of time waiting for data, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from geopretrain.console import ProgressLine as ConsoleLine
from geopretrain.console import clock_time, console
from geopretrain.training.memory import most_memory


class Clock:
    """Measures an interval of steps: seconds a step, fraction of it spent waiting for data, cores used."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.restart(0)

    def restart(self, step: int, waited: float = 0.0) -> None:
        """Start measuring at ``step``."""
        self._last, self._last_processor = time.perf_counter(), time.process_time()
        self._last_step, self._last_waited = step, waited

    @contextmanager
    def leave_out(self) -> Iterator[None]:
        """Don't count what is done inside as training."""
        start, processor = time.perf_counter(), time.process_time()
        yield
        self._last += time.perf_counter() - start
        self._last_processor += time.process_time() - processor

    def seconds(self) -> float:
        """Return the seconds of the interval so far."""
        return time.perf_counter() - self._last

    def interval(self, step: int, waited: float) -> dict[str, float]:
        """Return the timing of the steps since the last call."""
        now, steps = time.perf_counter(), max(1, step - self._last_step)
        seconds = max(1e-9, now - self._last)
        timing = {
            "seconds": round(now - self._start, 3),
            "seconds_per_step": seconds / steps,
            "data_fraction": (waited - self._last_waited) / seconds,
            "cores": (time.process_time() - self._last_processor) / seconds,
            "memory_gb": memory_gb(),
        }
        self.restart(step, waited)
        return timing


class ProgressLine:
    """The line of a training, step by step."""

    def __init__(self, steps: int, *, shown: bool = True) -> None:
        self.steps, self.shown = steps, shown
        self._open = ExitStack()
        self._line: ConsoleLine | None = None

    def start(self, step: int) -> None:
        """Begin at ``step``."""
        self._open.enter_context(console.showing(self.shown))
        self._line = self._open.enter_context(console.progress("step", self.steps, done=step))

    def advance(self, step: int) -> None:
        """Count a step; costs nothing where no terminal shows it."""
        if self._line is not None:
            self._line.move(step)

    def update(self, step: int, loss: float, timing: dict[str, float]) -> None:
        """Show new numbers."""
        if self._line is not None:
            self._line.update(step, describe(self.steps - step, loss, timing))

    def stop(self) -> None:
        """Leave the line as it is and give the terminal back."""
        self._line = None
        self._open.close()


def describe(steps_left: int, loss: float, timing: dict[str, float]) -> str:
    """Return the line without the step: loss, speed, time left, fraction of time waiting for data, memory."""
    per_step = timing["seconds_per_step"]
    speed = f"{1 / per_step:.1f} steps/s" if per_step < 1 else f"{per_step:.2f} s/step"
    return (
        f"loss {loss:z.4f}  {speed}  {clock_time(steps_left * per_step)} left  "
        f"data {100 * timing['data_fraction']:.0f} %  memory {timing['memory_gb']:.1f} GB"
    )


def memory_gb() -> float:
    """Return the most memory used so far, GB: of the GPU where one is in use, of the process elsewhere."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e9
    return most_memory() / 1e9 or float("nan")
