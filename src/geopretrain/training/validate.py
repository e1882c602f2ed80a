"""Judging a task on held-out samples in the midst of training, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from geopretrain.evaluation.probe import LinearProbe
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


def names_of_validation(
    task: Task, samples: Samples | None, probe: LinearProbe | None, seed: int
) -> dict[str, Any]:
    """Return what a validation will give, as far as its names go: from a few samples."""
    found: dict[str, Any] = {}
    if samples is not None:
        few = Samples(samples.data, samples.positions[:2], samples.fields)
        found |= validate(task, few, 2, seed)
    if probe is not None and task.backbone is not None:
        found |= dict.fromkeys(("probe_miou", "probe_pixel_accuracy"))
    return found


def validate(task: Task, samples: Samples, batch_size: int, seed: int) -> dict[str, Any]:
    """Return the task's own metrics over all ``samples``."""
    with evaluating(task):
        validation = task.validation(seed)
        for batch in samples.batches(batch_size):
            validation.update(batch.to(str(task.device)))
        return validation.compute()
