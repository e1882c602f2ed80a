"""Metrics on held-out samples, apart from the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from geopretrain.seeding import seed_step
from geopretrain.tasks.step import Step

if TYPE_CHECKING:
    from torch import Tensor


class Validation(Protocol):
    """Collects batches and computes numbers over all of them; torchmetrics' objects fit behind it."""

    def update(self, batch: Any) -> None:
        """Add a batch as read, on the device of the task."""

    def compute(self) -> dict[str, Any]:
        """Return plain numbers by name; None where there was nothing to measure."""


class _HasLoss(Protocol):
    def eval_transform(self, batch: Any) -> Any: ...

    def loss(self, batch: Any, step: Any) -> tuple[Tensor, dict[str, Tensor]]: ...


class LossValidation:
    """The mean training loss on samples that are not learned from, without augmentation.

    Args:
        task: in evaluation mode.
        seed: of the run; noise in the loss is the same at every validation.
    """

    protocol = "training loss on held-out samples without augmentation, evaluation mode"

    def __init__(self, task: _HasLoss, seed: int) -> None:
        self.task, self.seed = task, seed
        self.total, self.samples = 0.0, 0

    def update(self, batch: Any) -> None:
        """Add the loss of a batch."""
        seed_step(self.seed, 0)
        loss, _ = self.task.loss(self.task.eval_transform(batch), Step(0, 1))
        self.total += loss.item() * len(batch)
        self.samples += len(batch)

    def compute(self) -> dict[str, Any]:
        """Return the mean over the samples."""
        return {"loss": self.total / self.samples if self.samples else None, "samples": self.samples}
