"""Trainings that end in the midst, as by a crash, to see that they can be continued."""

from __future__ import annotations

from fake_tasks import Crash
from lightning.pytorch.callbacks import Callback


class CrashAfter(Callback):
    """Ends a training after a step, before that is written down."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Crash
