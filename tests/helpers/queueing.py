"""A queue of SLURM that does every job at once, in this process."""

from __future__ import annotations

from typing import ClassVar

import pytest

from geopretrain.study.launchers import on_slurm


class Job:
    """A job of `Queue`, which has ended."""

    def __init__(self, answer):
        self.answer = answer

    def done(self, force_check):
        return True

    def result(self):
        return self.answer


class Queue:
    """A queue of SLURM that trains at once, in this process; what was asked of it stays in ``asked``."""

    cluster = "local"
    asked: ClassVar[list[dict[str, object]]] = []

    def __init__(self, folder, cluster):
        self.folder = folder

    def update_parameters(self, **parameters):
        self.asked.append(parameters)

    def submit(self, function, message):
        return Job(function(message))


def stand_before(monkeypatch: pytest.MonkeyPatch) -> type[Queue]:
    """Make this machine a login node without GPU, before such a queue."""
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(on_slurm, "which", lambda program: program)
    monkeypatch.setattr(submitit, "AutoExecutor", Queue)
    monkeypatch.setattr(Queue, "asked", [])
    return Queue
