"""A part of a training step by itself, outside the loop: for trying its memory, and for looking into it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.compute import resolve_precision
from geopretrain.schema import Precision
from geopretrain.seeding import seed_step
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.step import Step

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def precision_of(name: str, device: str, network: nn.Module) -> Precision:
    """Return ``bf16``, ``fp16`` or ``fp32`` that a network is trained in; ``auto`` takes what is fastest.

    On a GPU that is bf16 where the hardware computes in it. On a processor that does, too, bf16 is faster
    for ResNets and transformers, and slower for networks with depthwise convolutions (docs/performance.md).

    Raises:
        ConfigError: the device does not train in it.
    """
    found = resolve_precision(name, device)
    slower = name == "auto" and device == "cpu" and any(map(_is_depthwise, network.modules()))
    return "fp32" if slower else found


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels


def loss_of_part(
    task: Task, batch: Any, step: Step, *, seed: int, part: int = 0, precision: str = "fp32"
) -> tuple[Tensor, Logs]:
    """Return loss and logs of a part of a step, as the loop computes them.

    Args:
        task: in training mode, on its device.
        batch: as read.
        step: the step.
        seed: of the run.
        part: number of the part among those of all processes.
        precision: resolved.
    """
    seed_step(seed, step.index, part)
    kind = task.device.type
    with torch.autocast(kind, DTYPES[precision]) if precision in DTYPES else nullcontext():
        with torch.autocast(kind, enabled=False):
            transformed = task.train_transform(batch.to(str(task.device)))
        return task.loss(transformed, step)
