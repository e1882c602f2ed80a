"""The task as Lightning wants it: one loss for each part of a step, one optimiser, one schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from geopretrain.ranks import Ranks
from geopretrain.seeding import seed_step
from geopretrain.tasks.base import Task
from geopretrain.tasks.step import Pace, Step
from geopretrain.training.capture import Guard
from geopretrain.training.distributed import clip_gradients
from geopretrain.training.optimisers import make_optimiser
from geopretrain.training.preserving import Anchor, rated
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.training.settings import LoopSettings


class TrainingModule(LightningModule):
    """The task as Lightning wants it; nothing here knows what is learned."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        num_samples: int,
        ranks: Ranks | None = None,
        anchor: Anchor | None = None,
    ) -> None:
        super().__init__()
        self.task, self.ranks = task, ranks or Ranks()
        self.settings = settings
        self.pace = Pace(num_samples, settings.batch_size)
        self.anchor = anchor or Anchor(task, settings)
        self.guard: Guard | None = None
        self.last_loss: Tensor | None = None
        self._state: dict[str, Any] = {}
        # before fsdp divides the parameters, and none of them has its shape any more
        self._groups = _by_name(task, self._own_groups()) if settings.strategy == "fsdp" else None

    def _own_groups(self) -> list[dict[str, Any]]:
        settings = self.settings
        groups = self.task.parameter_groups(settings.lr, settings.weight_decay, settings.layer_decay)
        if settings.backbone_lr == 1 and not settings.backbone_from:
            return groups
        return rated(groups, self.task.backbone, settings.backbone_lr)

    @property
    def step(self) -> Step:
        """The step that is being computed."""
        return Step(self.global_step, self.settings.steps)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Let the batch move itself."""
        return batch.to(str(device))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Seed, augment, compute the loss; the only random numbers of a step come from here."""
        part = batch_idx % self.settings.accumulate
        if part == 0:  # here and not after the forward pass: both at once cost memory
            self.task.clear_gradients()
        seed_step(self.settings.seed, self.global_step, part * self.ranks.size + self.ranks.rank)
        with torch.autocast(self.device.type, enabled=False):
            batch = self.task.train_transform(batch)
        self.anchor.before_forward(self.global_step)
        loss, logs = self.task.loss(batch, self.step)
        held, more = self.anchor.loss()
        loss = loss if held is None else loss + held
        logs = {**logs, **more}
        self.last_loss = loss.detach()
        return {"loss": loss, "logs": logs}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """See to it that no weights are moved by what is no number."""
        self.anchor.before_update(self.global_step)
        if self.guard is not None:
            self.guard.before_update(optimizer, self.global_step)

    def configure_optimizers(self) -> Any:
        """Return the optimiser over the task's own groups, and the schedule as a function of the step."""
        settings = self.settings
        groups = self._own_groups() if self._groups is None else _by_object(self.task, self._groups)
        optimizer = make_optimiser(
            settings.optimizer,
            groups,
            self.device,
            settings.momentum,
            settings.beta2,
            fused=settings.precision != "fp16",  # those divide by the scale themselves, after clipping
        )
        waits = [group.get("of_backbone", False) for group in optimizer.param_groups]
        factors: list[Callable[[int], float]] = [
            self.factor_of_backbone if one else self.factor for one in waits
        ]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def factor(self, step: int) -> float:
        """Return what the learning rate is multiplied by at ``step`` (0-based)."""
        settings = self.settings
        step = self.task.schedule_step(step, self.pace)
        return learning_rate_factor(
            step, settings.steps, settings.schedule, settings.warmup_steps, settings.lr_floor
        )

    def factor_of_backbone(self, step: int) -> float:
        """Return the same for a backbone, which may stand still at first."""
        return 0.0 if step < self.settings.backbone_from else self.factor(step)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Step, then let the task do what follows a step."""
        step = self.step
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        with torch.no_grad():
            self.task.after_step(step)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Shorten a gradient that is too long; Lightning itself refuses to for fused optimisers in bf16."""
        if self.settings.clip_norm is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            clip_gradients(self.trainer, parameters, self.settings.clip_norm)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: the task clears gradients before the forward pass."""

    @staticmethod
    def restore(task: Task, checkpoint: Mapping[str, Any]) -> None:
        """Give a task what a checkpoint of its training holds."""
        state = checkpoint["state_dict"]
        task.load_state_dict({name.removeprefix("task."): value for name, value in state.items()})
        if "task_state" in checkpoint:
            task.load_training_state(checkpoint["task_state"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the task needs beside parameters and buffers."""
        if state := self.task.training_state():
            checkpoint["task_state"] = state
        if first := self.anchor.state():
            checkpoint["first_backbone"] = first

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember it; Lightning clears all gradients once more before the first step."""
        self._state = checkpoint.get("task_state", {})
        if self.anchor.state():
            self.anchor.load_state(checkpoint["first_backbone"])

    def on_train_start(self) -> None:
        """Give it back."""
        if self._state:
            self.task.load_training_state(self._state)
        self._state = {}


def _by_name(task: Task, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups of the optimiser with the names of the parameters in their places."""
    names = {id(parameter): name for name, parameter in task.named_parameters()}
    return [{**group, "params": [names[id(p)] for p in group["params"]]} for group in groups]


def _by_object(task: Task, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups of names as groups of the parameters that have these names now."""
    parameters = dict(task.named_parameters())
    return [{**group, "params": [parameters[name] for name in group["params"]]} for group in groups]
