"""Judging a task on held-out samples in the midst of training, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from geopretrain.tasks.base import Task
from geopretrain.training.stream import Samples


@contextmanager
def evaluating(task: Task) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards mode and random states are as before."""
    was_training = task.training
    devices = [task.device] if task.device.type == "cuda" else []
    task.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            yield
    finally:
        task.train(was_training)


def validate(task: Task, samples: Samples, batch_size: int, seed: int) -> dict[str, Any]:
    """Return the task's own metrics over all ``samples``."""
    with evaluating(task):
        validation = task.validation(seed)
        for batch in samples.batches(batch_size):
            validation.update(batch.to(str(task.device)))
        return validation.compute()
