"""A training of a tiny task in one of several processes: ``python side_by_side.py FOLDER STEPS DEVICES``.

The folder receives ``rank<N>.pt``, the weights as each process has them in the end. ``resume`` may follow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from fake_tasks import FakeTask, samples
from torch import nn

from geopretrain.ranks import place
from geopretrain.runs.folder import RunFolder
from geopretrain.training.fit import fit
from geopretrain.training.settings import LoopSettings


class Plain(FakeTask):
    """Nothing random and no batch statistics: a function of the samples alone; a part of it is unused."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
        self.unused = nn.Linear(2, 2)
        torch.manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    train_transform = FakeTask.eval_transform

    def loss(self, batch, step):
        return (self.net(batch.images) - batch.targets).square().mean(), {"first": batch.targets[0].mean()}


def train(folder, steps, devices=1, resume=False, task=None):
    settings = LoopSettings(
        steps=steps, batch_size=4, lr=1e-2, precision="fp32", device="cpu", threads=1, devices=devices,
        checkpoint_every=2, log_every=3, weight_decay=0.1, clip_norm=0.5,
    )  # fmt: skip
    first = place() is None or place().rank == 0
    run = (
        RunFolder.create(folder, config={"command": "pretrain"}, resume=resume)
        if first
        else RunFolder(folder)
    )
    task = task or Plain()
    fit(task, samples(), settings, run, resume=resume)
    return task, run


if __name__ == "__main__":
    folder, steps, devices = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    trained, _ = train(folder, steps, devices, resume="resume" in sys.argv)
    torch.save(trained.state_dict(), folder / f"rank{place().rank}.pt")
