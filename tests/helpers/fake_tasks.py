"""A tiny task with random numbers in augmentation and loss, batch-norm statistics and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from geopretrain.tasks.base import Task


@dataclass(frozen=True)
class FakeBatch:
    images: torch.Tensor
    targets: torch.Tensor

    def to(self, device):
        return FakeBatch(self.images.to(device), self.targets.to(device))


class FakeTask(Task):
    name = "fake"

    def __init__(self, seed=0, *, nan_at=None, break_weights_at=None, accumulate=False, per_epoch=False):
        super().__init__()
        torch.manual_seed(seed)
        first, norm, last = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 3, padding=1)
        self.net = nn.Sequential(first, norm, nn.ReLU(), nn.Dropout(0.2), last)
        self.accumulate_gradients = accumulate
        self.lr_per_epoch = per_epoch
        self.nan_at, self.break_weights_at = nan_at, break_weights_at
        self.seen = []
        self.cleared = []

    def augment(self, batch):
        images = batch.images.float() / 255
        return FakeBatch(images + 0.1 * torch.rand(len(images), 1, 1, 1), batch.targets)

    def training_loss(self, batch):
        self.seen.append((10 * batch.targets[:, 0, 0, 0]).round().int().tolist())
        gradient = self.net[0].weight.grad
        self.cleared.append(gradient is None)
        step = len(self.seen)
        loss = (self.net(batch.images) - batch.targets).abs().mean() + 1e-3 * torch.randn(())
        if step == self.nan_at:
            loss = loss * float("nan")
        if step == self.break_weights_at:
            loss = loss + self.net[0].weight.sum().sub(self.net[0].weight.sum().detach()).sqrt() * 1e-9
        return loss, {"spread": batch.images.std()}

    def pictures(self, batch):
        out = self.net(batch.images.float() / 255)[0, 0]
        return {"output": (out.clamp(0, 1) * 255).byte().unsqueeze(-1).expand(-1, -1, 3).cpu().numpy()}

    def health(self, logs, step):
        return [f"Spread is {logs['spread']:.3f}: look at it."] if step >= 4 else []


NUM_SAMPLES = 10
IMAGES = np.random.default_rng(3).integers(0, 255, (NUM_SAMPLES, 3, 8, 8), dtype=np.uint8)


def read_batch(indices):
    targets = torch.from_numpy(np.asarray(indices, np.float32)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8) / 10
    return FakeBatch(torch.from_numpy(IMAGES[indices]), targets)
