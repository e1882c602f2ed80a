"""What the released fine-tuning script of Lao et al. does differently from the paper.

The script's defects change its numbers, so they can be switched on together (``as_released=True``) to measure
by how much. Names used in our documentation:

- D1: gradients are never cleared, so every step uses the sum of all gradients so far.
- D2: a "frozen" encoder is only put into evaluation mode: its statistics stand still, its weights do not.
- D3: ImageNet baselines are normalised twice. Not reproduced: here normalisation travels with the weights.
- D4: label images are resized with Pillow's default filter, bicubic today, which invents ids along borders.
- D5: no augmentation, although the paper states horizontal flips.
- D6: no seed. Not reproduced: our runs are repeatable.

Besides, class 0 is ignored and never learned, the learning rate changes once per pass over the training
images instead of every step, and the training images are the first N instead of a random subset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import IGNORE
from geopretrain.metrics.segmentation import KITTI_IDS, as_released_kitti_labels
from geopretrain.tasks.step import Pace
from geopretrain.tasks.transfer.segmentation import Segmentation

#: The class that stands for everything that is not learned.
IGNORED_CLASS = 0


class ReleasedSegmentation(Segmentation):
    """The transfer with everything that the released script does."""

    def freeze(self) -> None:
        """Let no parameter be (D2)."""

    def prepare_training(self, batches: Any) -> None:
        """Measure no statistics: the script has none of it."""

    def train_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Turn into floats without flips (D5)."""
        return augment_labelled(batch, flip=0.0)

    def learned_labels(self, labels: Tensor) -> Tensor:
        """Return the labels without class 0, which the script never learns."""
        if self.config.num_classes == KITTI_IDS:
            table = torch.from_numpy(as_released_kitti_labels(np.arange(256))).to(labels.device, labels.dtype)
            labels = table[labels]
        return labels.masked_fill(labels == IGNORED_CLASS, IGNORE)

    def schedule_step(self, step: int, pace: Pace) -> int:
        """Return the first step of the pass over the images that ``step`` is in: one rate for each pass."""
        epoch = step * pace.batch_size // pace.samples
        return -(-epoch * pace.samples // pace.batch_size)

    def clear_gradients(self) -> None:
        """Clear nothing (D1)."""

    def training_state(self) -> dict[str, Any]:
        """Return the gradients, which outlive a step."""
        return {"gradients": {name: p.grad for name, p in self.named_parameters() if p.grad is not None}}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Put the gradients back."""
        parameters = dict(self.named_parameters())
        for name, gradient in state.get("gradients", {}).items():
            parameters[name].grad = gradient.to(parameters[name].device)
