"""How often the class of an image is told: top-1 and top-k accuracy, by torchmetrics."""

from __future__ import annotations

import torch
from torch import Tensor


class Accuracies:
    """Collects scores and classes; each image counts alike.

    In a training of several processes each counts for itself: the network of another one is another network
    as far as its batch-norm statistics are its own.

    Args:
        num_classes: number of classes, at least 2.
        top: classes with the highest scores among which the right one also counts.
        device: where the scores are.
    """

    def __init__(self, num_classes: int, top: int, device: torch.device | str = "cpu") -> None:
        from torchmetrics.classification import MulticlassAccuracy

        counted = {f"top{k}": k for k in (1, top) if k < num_classes}
        self.metrics = {
            name: MulticlassAccuracy(num_classes, top_k=k, average="micro", sync_on_compute=False).to(device)
            for name, k in counted.items()
        }

    def update(self, scores: Tensor, classes: Tensor) -> None:
        """Add scores ``B K`` and classes ``B`` int64."""
        for metric in self.metrics.values():
            metric.update(scores, classes)

    def compute(self) -> dict[str, float | None]:
        """Return ``top1`` and the like in [0, 1]; None without any image; what is trivial is left out."""
        return {
            name: metric.compute().item() if metric.update_called else None
            for name, metric in self.metrics.items()
        }
