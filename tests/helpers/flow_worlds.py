"""Pairs of frames with exact flow from the synthetic worlds, as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch
from geopretrain.synthetic import make_world
from geopretrain.tasks.pretext.flow_task import FlowTask
from geopretrain.tasks.step import Step
from geopretrain.training.schedules import learning_rate_factor

STEP = Step(0, 1)


class Pairs(NamedTuple):
    """Frames ``N F 3 H W`` uint8, flow ``N 2 H W`` px to the second and ``N 1 H W`` bool: visible in both."""

    frames: Tensor
    flow: Tensor
    visible: Tensor


@cache
def pairs(
    kind: str, seeds: Sequence[int], count: int, size: tuple[int, int] = (64, 96), before: bool = False
) -> Pairs:
    """The first ``count`` pairs of neighbours of each world; ``before``: with the frame before them."""
    first = int(before)
    worlds = (make_world(kind, seed, first + count + 1, size) for seed in seeds)
    rows = [row for world in worlds for row in _pairs_of(world, first, count)]
    frames, flows, visible = (np.stack(part) for part in zip(*rows, strict=True))
    return Pairs(
        torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous(),
        torch.from_numpy(flows).permute(0, 3, 1, 2),
        torch.from_numpy(visible)[:, None],
    )


def _pairs_of(world, first: int, count: int) -> Iterator[tuple]:
    frames = [world.frame(i) for i in range(first + count + 1)]
    for i in range(first, first + count):
        flow, visible = frames[i].flow_to(frames[i + 1])
        yield np.stack([frames[j].image for j in (i, i + 1, i - 1)[: 2 + first]]), flow, visible


def batch_of(frames: Tensor, offsets: tuple[int, ...] = (0, 1)) -> ClipBatch:
    """A batch as the store gives it; flow needs no intrinsics, so these are useless on purpose."""
    size = len(frames)
    return ClipBatch(frames, torch.full((size, 3, 3), torch.nan), offsets, torch.arange(size))


def train(task: FlowTask, data: Pairs, steps: int, lr: float, batch_size: int = 8) -> FlowTask:
    """Train with Adam on random samples, the rate falling at the end; returns the task in evaluation mode."""
    optimiser = torch.optim.Adam(task.parameter_groups(lr))
    task.train()
    for step in range(steps):
        torch.manual_seed(step)
        chosen = torch.randint(len(data.frames), (batch_size,))
        loss, _ = task.loss(task.train_transform(batch_of(data.frames[chosen], task.required.frames)), STEP)
        optimiser.param_groups[0]["lr"] = lr * learning_rate_factor(step, steps, "warm_cosine")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return task.eval()


@torch.no_grad()
def end_point_errors(task: FlowTask, data: Pairs) -> tuple[float, float]:
    """Mean end-point error in px over visible pixels: of the task, and of the guess that nothing moves."""
    flow = torch.cat([task.predict(part.float() / 255).flow for part in data.frames.split(16)])
    errors = [(guess - data.flow).norm(dim=1, keepdim=True) for guess in (flow, torch.zeros_like(flow))]
    return errors[0][data.visible].mean().item(), errors[1][data.visible].mean().item()
