"""The task as Lightning wants it: one loss per step, one Adam, one schedule."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule

from geopretrain.tasks.base import Task
from geopretrain.training.optimisers import Adam
from geopretrain.training.options import TrainOptions
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.training.stream import seed_step


class FittedTask(LightningModule):
    """The task as Lightning wants it: one loss per step, one Adam, one schedule."""

    def __init__(self, task: Task, options: TrainOptions, num_samples: int) -> None:
        super().__init__()
        self.task = task
        self.options = options
        self.num_samples = num_samples
        self._gradients: dict[str, torch.Tensor] = {}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Let the batch move itself."""
        return batch.to(str(device))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Seed, augment, compute the loss; the only random numbers of a step come from here."""
        if not self._accumulates:  # here and not after the forward pass: both at once cost memory
            self.task.zero_grad()
        seed_step(self.options.seed, self.global_step)
        with torch.autocast(self.device.type, enabled=False):
            batch = self.task.augment(batch)
        loss, logs = self.task.training_loss(batch)
        return {"loss": loss, "logs": logs}

    def configure_optimizers(self) -> Any:
        """Return Adam over the task's own groups, and the schedule as a function of the step."""
        groups = self.task.parameter_groups(self.options.learning_rate)
        optimizer = Adam(groups, self.device)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def factor(self, step: int) -> float:
        """Return what the learning rate is multiplied by at ``step`` (0-based)."""
        if getattr(
            self.task, "lr_per_epoch", False
        ):  # as released by Lao et al.: one rate per pass over the data
            epoch = step * self.options.batch_size // self.num_samples
            step = -(-epoch * self.num_samples // self.options.batch_size)
        return learning_rate_factor(
            step, self.options.steps, self.options.schedule, self.options.warmup_steps
        )

    @property
    def _accumulates(self) -> bool:
        return bool(getattr(self.task, "accumulate_gradients", False))

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: gradients were cleared before the forward pass, or never are (a released defect)."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep gradients that outlive a step."""
        if self._accumulates:
            grads = {name: p.grad for name, p in self.task.named_parameters() if p.grad is not None}
            checkpoint["accumulated_gradients"] = grads

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember those gradients; Lightning clears all once more before the first step."""
        self._gradients = checkpoint.get("accumulated_gradients", {})

    def on_train_start(self) -> None:
        """Put remembered gradients back."""
        parameters = dict(self.task.named_parameters())
        for name, gradient in self._gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._gradients = {}
