"""``--batch-size auto``: the recipe's batch, in as few parts as the memory takes.

Steps of small parts are tried on a copy of the task; what they take grows by the same amount with each
sample. What is tried leaves nothing behind: the numbers that come out, given by hand, make the same run.
"""

from __future__ import annotations

import copy
import gc
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from geopretrain.console import console
from geopretrain.errors import ConfigError
from geopretrain.networks.memory_order import use_channels_last
from geopretrain.tasks.base import Task
from geopretrain.tasks.step import Step
from geopretrain.training.activations import checkpoint_activations
from geopretrain.training.computing import loss_of_part, precision_of
from geopretrain.training.memory import keep_freed_memory, peak_memory, usable_memory
from geopretrain.training.optimisers import make_optimiser
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples

SMALLEST = 2
"""Samples of the first part that is tried; each further one has twice as many."""
MIN_GROWTH = 0.1
"""Of the memory that the first one takes: when so much has been added, it is known what a sample takes."""
MAX_USED, MAX_USED_OF_GPU = 0.8, 0.9
"""Fraction of the memory that is free, or the process's own, that a step may take."""


def fitted(settings: LoopSettings, task: Task, samples: Samples, device: str) -> LoopSettings:
    """Return settings whose ``accumulate`` lets a step fit into memory; the batch stays what it is.

    Args:
        settings: with the batch of the recipe, and at least as many parts as it asks for.
        task: which is left as it is.
        samples: to learn from.
        device: resolved.

    Raises:
        ConfigError: not even a sample at a time fits.
    """
    whole = settings.batch_size // settings.processes
    among = 1 if device == "cuda" else settings.devices
    usable = usable_memory(device) * (MAX_USED_OF_GPU if device == "cuda" else MAX_USED) / among
    base, each = _memory(settings, task, samples, device, whole, usable)
    if not base + each:
        console.warn("How much memory a step takes cannot be measured here: the batch is computed whole.")
        return settings
    for parts in range(settings.accumulate, whole + 1):
        if whole % parts == 0 and base + each * (whole // parts) <= usable:
            _say(settings, parts, base, each, usable)
            return replace(settings, accumulate=parts)
    raise ConfigError(
        f"A step of a single sample takes {_gb(base + each)}, and {_gb(usable)} may be used. Use a smaller "
        "image size or backbone, or --precision bf16."
    )


def _say(settings: LoopSettings, parts: int, base: float, each: float, usable: float) -> None:
    whole = settings.batch_size // settings.processes
    size = whole // parts
    takes = f"takes about {_gb(base + each * size)} of the {_gb(usable)} that may be used"
    if parts == 1:
        console.say(f"Batches of {settings.batch_size}, the recipe's: a step {takes}.")
        return
    console.say(
        f"Batches of {settings.batch_size}, the recipe's, in {parts} parts of {size} one after the other "
        f"(--accumulate {parts}): a part {takes}; whole it would take {_gb(base + each * whole)}."
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _memory(
    settings: LoopSettings, task: Task, samples: Samples, device: str, whole: int, usable: float
) -> tuple[float, float]:
    """Return the bytes that a step takes whatever its part, and those for each sample of it.

    Parts of twice as many samples are tried until it is clear what they add; none that would not fit.
    """
    if device == "cpu":
        keep_freed_memory()
    peaks = _peaks(settings, task, samples, device, whole, usable)
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    (few, first), (many, last) = peaks[0], peaks[-1]
    each = max(0.0, (last - first) / (many - few)) if many > few else 0.0
    return last - each * many, each


def _peaks(
    settings: LoopSettings, task: Task, samples: Samples, device: str, whole: int, usable: float
) -> list[tuple[int, int]]:
    """Return sizes of parts, and the most bytes in use while a step of them is taken.

    Random states stay as they are.
    """
    size = min(SMALLEST, whole)
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        trial = _Trial(settings, task, samples, device)
        trial.step(size)  # makes the state of the optimiser, and compiles what is compiled
        found = [(size, peak_memory(partial(trial.step, size), device))]
        if found[0][1] > usable and size > 1:
            return [(1, peak_memory(partial(trial.step, 1), device)), *found]
        while 2 * size <= whole and found[-1][1] - found[0][1] < MIN_GROWTH * found[0][1]:
            if 2 * found[-1][1] - found[0][1] > usable:
                break
            size *= 2
            found.append((size, peak_memory(partial(trial.step, size), device)))
    return found


class _Trial:
    """Steps on a copy of a task."""

    def __init__(self, settings: LoopSettings, task: Task, samples: Samples, device: str) -> None:
        self.settings, self.samples = settings, samples
        self.precision = precision_of(settings.precision, device, task)
        self.task = copy.deepcopy(task).to(device).train()
        self.task.check_data(samples.data.describe())
        if settings.checkpoint_activations:
            checkpoint_activations(self.task)
        if settings.channels_last:
            use_channels_last(self.task, device)
        groups = self.task.parameter_groups(settings.lr, settings.weight_decay, settings.layer_decay)
        self.optimiser = make_optimiser(settings.optimizer, groups, self.task.device)

    def step(self, size: int) -> None:
        """Take a step of ``size`` samples."""
        self.task.zero_grad()
        batch = self.samples.read(np.arange(size) % len(self.samples))
        step = Step(0, self.settings.steps)
        loss, _ = loss_of_part(self.task, batch, step, seed=self.settings.seed, precision=self.precision)
        loss.backward()
        self.optimiser.step()
