"""Jobs in processes of this machine, several at a time, losing none to the failure of another."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from geopretrain import manifest
from geopretrain.compute import visible_gpus
from geopretrain.study import worker
from geopretrain.study.launchers import Answer, Job, Work, message_of
from geopretrain.training.processes import environment

MAX_WORKERS = 8
PATIENCE = 60.0
"""Seconds that a training has to finish its step and keep a checkpoint when the comparison is to end."""


def choose_jobs(jobs: int | Literal["auto"], count: int, device: str) -> int:
    """Return how many of ``count`` jobs to do at a time; ``'auto'``: one per core, at most 8, or per GPU."""
    if jobs == "auto":
        room = {"cpu": min(MAX_WORKERS, _cores()), "cuda": len(visible_gpus())}.get(device, 1)
        return max(1, min(count, room))
    return max(1, min(jobs, count))


def run_here(work: Work, *, jobs: int, device: str, log: Path, threads: int | None = None) -> None:
    """Do all work.

    With one job at a time in this process, otherwise in ``jobs`` processes; each computes with ``threads``,
    or else they share the cores and take fewer threads where other programs want them. GPUs are dealt out to
    the processes in turn.
    """
    if jobs == 1:
        while (job := work.take()) is not None:
            work.finish(job, worker.run_safely(job.runner, job, threads=threads, device=device))
        return
    done: queue.Queue[tuple[Job, Answer]] = queue.Queue()
    each = threads or max(1, _cores() // jobs)
    gpus = visible_gpus() if device == "cuda" else []
    own = [gpus[number % len(gpus)] if gpus else None for number in range(jobs)]
    workers = [_Worker(work, done, threads, each, device, log, gpu) for gpu in own]
    try:
        for one in workers:
            one.start()
        while work.open:
            work.finish(*done.get())
    finally:
        work.close()
        for one in workers:
            one.tell()
        for one in workers:
            one.stop()


class _Worker(threading.Thread):
    """Feeds one process; starts another in its place when it dies."""

    def __init__(
        self,
        work: Work,
        done: queue.Queue[tuple[Job, Answer]],
        threads: int | None,
        most_threads: int,
        device: str,
        log: Path,
        gpu: str | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.work, self.done, self.threads, self.device, self.log = work, done, threads, device, log
        self.most_threads, self.gpu = most_threads, gpu
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self._starting = threading.Lock()

    def run(self) -> None:
        """Hand over one job after another until none is left."""
        while not self.stopped and (job := self.work.take(wait=True)) is not None:
            self.done.put((job, self._ask(job)))

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

    def _ask(self, job: Job) -> Answer:
        with self._starting:
            if self.stopped:
                return {"error": "not begun", "details": ""}
            process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        message = message_of(job, self.threads, self.device)
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
