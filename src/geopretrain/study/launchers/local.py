"""Trials in processes of this machine, several at a time, losing none to the failure of another."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from geopretrain import manifest
from geopretrain.compute import visible_gpus
from geopretrain.study import worker
from geopretrain.study.launchers import Answer, message_of
from geopretrain.study.trials import Trial
from geopretrain.training.processes import environment

MAX_WORKERS = 8
PATIENCE = 60.0
"""Seconds that a training has to finish its step and keep a checkpoint when the comparison is to end."""


def choose_jobs(jobs: int | Literal["auto"], trials: int, device: str) -> int:
    """Return how many trials to train at a time; ``'auto'``: one per core, at most 8, or one on each GPU."""
    if jobs == "auto":
        room = {"cpu": min(MAX_WORKERS, _cores()), "cuda": len(visible_gpus())}.get(device, 1)
        return max(1, min(trials, room))
    return max(1, min(jobs, trials))


def run_here(
    trials: Sequence[Trial],
    *,
    jobs: int,
    device: str,
    log: Path,
    on_done: Callable[[Trial, Answer], None],
    threads: int | None = None,
) -> None:
    """Train all trials; after each call ``on_done`` with ``{'outcome'}`` or ``{'error', 'details'}``.

    With one job they run in this process, otherwise in ``jobs`` processes; each computes with ``threads``,
    or else they share the cores and take fewer threads where other programs want them. GPUs are dealt out to
    the processes in turn.
    """
    if jobs == 1:
        runner = worker.load_runner(worker.RUNNER)
        for trial in trials:
            on_done(trial, worker.run_safely(runner, trial, threads=threads, device=device))
        return
    waiting: queue.Queue[Trial] = queue.Queue()
    for trial in trials:
        waiting.put(trial)
    done: queue.Queue[tuple[Trial, Answer]] = queue.Queue()
    each = threads or max(1, _cores() // jobs)
    gpus = visible_gpus() if device == "cuda" else []
    own = [gpus[number % len(gpus)] if gpus else None for number in range(jobs)]
    workers = [_Worker(waiting, done, threads, each, device, log, gpu) for gpu in own]
    try:
        for one in workers:
            one.start()
        for _ in trials:
            on_done(*done.get())
    finally:
        for one in workers:
            one.tell()
        for one in workers:
            one.stop()


class _Worker(threading.Thread):
    """Feeds one process; starts another in its place when it dies."""

    def __init__(
        self,
        waiting: queue.Queue[Trial],
        done: queue.Queue[tuple[Trial, Answer]],
        threads: int | None,
        most_threads: int,
        device: str,
        log: Path,
        gpu: str | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.waiting, self.done, self.threads, self.device, self.log = waiting, done, threads, device, log
        self.most_threads, self.gpu = most_threads, gpu
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self._starting = threading.Lock()

    def run(self) -> None:
        """Hand over one trial after another until none is left."""
        while not self.stopped:
            try:
                trial = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.done.put((trial, self._ask(trial)))

    def tell(self) -> None:
        """Ask the process to end: a training finishes its step and keeps a checkpoint."""
        with self._starting:
            self.stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """Wait for the process, and end it where that takes too long."""
        process = self.process
        if process is None:
            return
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _ask(self, trial: Trial) -> Answer:
        with self._starting:
            if self.stopped:
                return {"error": "not begun", "details": ""}
            process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        message = message_of(trial, self.threads, self.device)
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if line:
            return json.loads(line)
        process.kill()
        code = process.wait()
        reason = "killed, perhaps for want of memory" if code == -9 else f"exit code {code}"
        return {"error": f"its process ended unexpectedly ({reason}); see {self.log}", "details": ""}

    def _alive(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            manifest.note(self.log)
            with self.log.open("a", encoding="utf-8") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "geopretrain.study.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=environment(self.most_threads, self.gpu),
                )
        return self.process


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
