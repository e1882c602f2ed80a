"""What there is to do: jobs, some of which need others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

Answer = dict[str, Any]


class Job(Protocol):
    """Something that a process can be told to do.

    Attributes:
        name: that it is known by; of jobs that others need, there is none of the same name.
        runner: function, as ``module:name``, that is called with the job, ``threads`` and ``device``.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def runner(self) -> str:
        """See above."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values; ``from_json`` of its class reads them."""
        ...


J = TypeVar("J", bound=Job)


class Work:
    """Jobs that are to be done, each when those that it needs are done. Threads may share it.

    Args:
        jobs: in the order in which they are begun, as far as what they need allows.
        on_done: is told of each job and its answer, ``{'outcome'}`` or ``{'error', 'details'}``, by the
            thread that calls `finish`; also of a job that cannot be begun because one that it needs failed.
        needs: names of the jobs that a job needs, by its name.
    """

    def __init__(
        self,
        jobs: Sequence[J],
        on_done: Callable[[J, Answer], None],
        needs: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        names = {job.name for job in jobs}
        self._waiting: list[Any] = list(jobs)
        self._needs = {name: set(own) & names for name, own in (needs or {}).items()}
        self._on_done = on_done
        self._changed = threading.Condition()
        self._closed = False
        self.total = self.open = len(jobs)

    def take(self, *, wait: bool = False) -> Any | None:
        """Return the next job that can be begun; None where there is none, or none yet without ``wait``."""
        with self._changed:
            while self._waiting and not self._closed:
                for job in self._waiting:
                    if not self._needs.get(job.name):
                        self._waiting.remove(job)
                        return job
                if not wait:
                    return None
                self._changed.wait()
            return None

    def finish(self, job: Any, answer: Answer) -> None:
        """Say that a job has ended: those that need it can be begun, or never will be."""
        self.open -= 1
        self._on_done(job, answer)
        lost = self._settle(job.name, failed="error" in answer)
        for other in lost:
            self.finish(other, {"error": f"it needs {job.name}, which failed", "details": ""})

    def close(self) -> None:
        """Begin nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _settle(self, name: str, *, failed: bool) -> list[Any]:
        """Take a job from what others need; return those that are lost with it."""
        with self._changed:
            lost = [job for job in self._waiting if failed and name in self._needs.get(job.name, ())]
            self._waiting = [job for job in self._waiting if job not in lost]
            for own in self._needs.values():
                own.discard(name)
            self._changed.notify_all()
            return lost
