"""A tiny task with random numbers in augmentation and loss and batch-norm statistics; and its data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from geopretrain.data.dataset import IMAGES, Description, Fields
from geopretrain.tasks.base import Task
from geopretrain.training.stream import Samples


@dataclass(frozen=True)
class FakeConfig:
    backbone: str = "none"


@dataclass(frozen=True)
class FakeBatch:
    images: torch.Tensor
    targets: torch.Tensor

    def to(self, device):
        return FakeBatch(self.images.to(device), self.targets.to(device))

    def __len__(self):
        return len(self.images)


class Twice:
    """A validation that counts its samples."""

    protocol = "a count"

    def __init__(self, task):
        self.task, self.samples, self.error = task, 0, 0.0

    def update(self, batch):
        assert not self.task.training
        assert not torch.is_grad_enabled()
        torch.rand(3)  # what validating draws must not change the training
        self.samples += len(batch)
        self.error += (self.task.net(batch.images.float() / 255) - batch.targets).abs().mean().item()

    def compute(self):
        return {"twice": 2.0 * self.samples, "error": self.error}


class FakeTask(Task):
    name = "fake"
    Config = FakeConfig

    def __init__(self, seed=0, *, nan_at=None, break_weights_at=None):
        super().__init__()
        torch.manual_seed(seed)
        self.config = FakeConfig()
        first, norm, last = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 3, padding=1)
        self.net = nn.Sequential(first, norm, nn.ReLU(), nn.Dropout(0.2), last)
        self.nan_at, self.break_weights_at = nan_at, break_weights_at
        self.trained_on = []
        self.steps = []

    def train_transform(self, batch):
        images = batch.images.float() / 255
        return FakeBatch(images + 0.1 * torch.rand(len(images), 1, 1, 1), batch.targets)

    def eval_transform(self, batch):
        return FakeBatch(batch.images.float() / 255, batch.targets)

    def loss(self, batch, step):
        self.trained_on.append((10 * batch.targets[:, 0, 0, 0]).round().int().tolist())
        self.steps.append(step)
        count = len(self.trained_on)
        loss = (self.net(batch.images) - batch.targets).abs().mean() + 1e-3 * torch.randn(())
        if count == self.nan_at:
            loss = loss * float("nan")
        if count == self.break_weights_at:
            loss = loss + self.net[0].weight.sum().sub(self.net[0].weight.sum().detach()).sqrt() * 1e-9
        return loss, {"spread": batch.images.std()}

    def validation(self, seed):
        return Twice(self)

    def pictures(self, batch):
        out = self.net(batch.images.float() / 255)[0, 0]
        return {"output": (out.clamp(0, 1) * 255).byte().unsqueeze(-1).expand(-1, -1, 3).cpu().numpy()}

    def diagnostics(self, logs, step):
        return [f"Spread is {logs['spread']:.3f}: look at it."] if step >= 4 and "spread" in logs else []


NUM_SAMPLES = 10
PIXELS = np.random.default_rng(3).integers(0, 255, (NUM_SAMPLES, 3, 8, 8), dtype=np.uint8)


def read_batch(indices):
    targets = torch.from_numpy(np.asarray(indices, np.float32)).view(-1, 1, 1, 1).expand(-1, 1, 8, 8) / 10
    return FakeBatch(torch.from_numpy(PIXELS[indices]), targets)


class Crash(Exception):
    """What ends a training in the midst of it."""


def crash_at(read_number):
    """Return a way of reading that fails at a certain batch."""
    count = 0

    def read(indices):
        nonlocal count
        count += 1
        if count == read_number:
            raise Crash
        return read_batch(indices)

    return read


class FakeData:
    """Ten small images as a data set; ``read`` may be replaced by one that fails."""

    def __init__(self, read=read_batch):
        self._read = read

    def __len__(self):
        return NUM_SAMPLES

    def splits(self, fields=IMAGES):
        return {"train": np.arange(8), "val": np.arange(8, NUM_SAMPLES)}

    def read(self, indices, fields):
        return self._read(np.asarray(indices))

    def check(self, indices, fields):
        pass

    def names(self, indices):
        return [str(i) for i in indices]

    def describe(self):
        return Description("fake", "fake", (8, 8), {"train": 8, "val": 2})

    def fingerprint(self, fields=IMAGES):
        return "0" * 16


def samples(read=read_batch, positions=range(NUM_SAMPLES)):
    return Samples(FakeData(read), np.asarray(positions), Fields())
