"""Metrics on held-out samples, apart from the training loss."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch, LabelledBatch, as_float, as_images
from geopretrain.metrics.embeddings import rank_me
from geopretrain.networks import Backbone
from geopretrain.seeding import seed_step
from geopretrain.tasks.step import Step


class Validation(Protocol):
    """Collects batches and computes numbers over all of them; torchmetrics' objects fit behind it.

    Attributes:
        protocol: what the numbers are of, in words.
    """

    protocol: str

    def update(self, batch: Any) -> None:
        """Add a batch as read, on the device of the task."""

    def compute(self) -> dict[str, Any]:
        """Return plain numbers by name; None where there was nothing to measure."""


class _HasLoss(Protocol):
    @property
    def backbone(self) -> Backbone | None: ...

    def eval_transform(self, batch: Any) -> Any: ...

    def loss(self, batch: Any, step: Any) -> tuple[Tensor, dict[str, Tensor]]: ...


MAX_RANKED = 4096
"""Positions, at most, that the rank of the features is computed from."""


class LossValidation:
    """The mean training loss on samples that are not learned from, without augmentation; and RankMe.

    RankMe counts the dimensions that the backbone's last features use, over the positions of all images: it
    falls when features collapse, and needs no labels.

    Args:
        task: in evaluation mode.
        seed: of the run; noise in the loss is the same at every validation.
    """

    protocol = "training loss on held-out samples without augmentation, evaluation mode"

    def __init__(self, task: _HasLoss, seed: int) -> None:
        self.task, self.seed = task, seed
        self.total, self.samples = 0.0, 0
        self.features: list[Tensor] = []

    def update(self, batch: Any) -> None:
        """Add the loss of a batch."""
        seed_step(self.seed, 0)
        self.total += self.loss_of(batch).item() * len(batch)
        self.samples += len(batch)
        if self.task.backbone is not None and isinstance(batch, ClipBatch | LabelledBatch):
            self.features.append(self._last_features(self.task.backbone, as_float(as_images(batch).images)))

    def loss_of(self, batch: Any) -> Tensor:
        """Return the loss of a batch as read."""
        return self.task.loss(self.task.eval_transform(batch), Step(0, 1))[0]

    @staticmethod
    def _last_features(backbone: Backbone, images: Tensor) -> Tensor:
        features = backbone.last(backbone.whole_patches(images)).float()
        return features.permute(0, 2, 3, 1).flatten(0, 2).cpu()

    def compute(self) -> dict[str, Any]:
        """Return the mean over the samples, and the rank of the features where there are any."""
        found = {"loss": self.total / self.samples if self.samples else None, "samples": self.samples}
        if self.features:
            rows = torch.cat(self.features)
            found["rank_me"] = rank_me(rows[:: -(-len(rows) // MAX_RANKED)])
        return found
