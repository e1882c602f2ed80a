"""Sharing the processor with other programs: noticing when that goes wrong, and taking fewer threads."""

from __future__ import annotations

from collections.abc import Callable

from geopretrain.training.progress import Clock

MIN_CORES_USED = 0.8
"""Fraction of its threads below which a process has lost cores to others; alone monodepth has 0.98."""
WARM_UP = 2
"""Steps before the first measurement: they compile kernels and start threads."""
STEPS, SECONDS = 3, 1.0
"""What a measurement takes at least."""
PAUSE = 100
"""Steps before fewer threads are tried again where they were no faster."""


class ThreadWatch:
    """Watches from the first steps on whether the threads of a training get cores.

    The threads of a step wait for each other thousands of times. When another process takes one of two cores,
    both wait for the thread that has lost its core, and do so by computing: two threads are then slower than
    one, beside three busy processes many times slower.

    Args:
        threads: number that is computed with.
        use: sets another number; None where it has to stay, so that a smaller one is only advised.
    """

    def __init__(self, threads: int, use: Callable[[int], None] | None) -> None:
        self.threads, self.use = threads, use
        self.clock = Clock()
        self._begin = 0  # step after which the measurement begins
        self._tried: tuple[int, float] | None = None  # threads before a try, and seconds of their step
        self._advised = False

    def start(self, step: int) -> None:
        """Begin after ``step`` steps, and those that warm up."""
        self._leave_out(step, WARM_UP)

    def after_step(self, step: int) -> str | None:
        """Measure; return a sentence where there is something to say, each is said once."""
        if step <= self._begin:
            self.clock.restart(step)
            return None
        if self._advised or (self.threads == 1 and self._tried is None):
            return None
        if step - self._begin < STEPS or self.clock.seconds() < SECONDS:
            return None
        timing = self.clock.interval(step, 0.0)
        self._begin = step
        seconds, cores = timing["seconds_per_step"], timing["cores"]
        if self._tried is not None:
            return self._judge(step, *self._tried, seconds)
        if cores >= MIN_CORES_USED * self.threads:
            return None
        fewer = max(1, min(round(cores), self.threads - 1))
        if self.use is None:
            self._advised = True
            return _advice(self.threads, cores, seconds, fewer)
        self._tried = self.threads, seconds
        self._take(fewer, step, leave_out=1)
        return None

    def _judge(self, step: int, threads: int, before: float, after: float) -> str | None:
        """Stay with fewer threads where a step takes less time, else go back."""
        self._tried = None
        if after >= before:
            self._take(threads, step, leave_out=PAUSE)
            return None
        return (
            f"Other programs use this processor, too: a step took {before:.2f} s with {threads} threads and "
            f"takes {after:.2f} s with {self.threads}. The training goes on with {self.threads}."
        )

    def _take(self, threads: int, step: int, leave_out: int) -> None:
        assert self.use is not None
        self.threads = threads
        self.use(threads)
        self._leave_out(step, leave_out)

    def _leave_out(self, step: int, steps: int) -> None:
        self._begin = step + steps
        self.clock.restart(step)


def _advice(threads: int, cores: float, seconds: float, fewer: int) -> str:
    return (
        f"Other programs use this processor, too: {threads} threads get {cores:.1f} cores and wait for each "
        f"other, {seconds:.2f} s a step. If this lasts, interrupt with Ctrl-C and continue with --threads "
        f"{fewer} (last digits may differ)."
    )
