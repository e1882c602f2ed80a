"""Classification: which of the classes is in the image? What ImageNet pre-training is, on any folder.

He, Zhang, Zhang et al., *Bag of Tricks for Image Classification with Convolutional Neural Networks*, CVPR
2019. Lao et al. 2024 compare with ImageNet weights (Table 1) and say nothing of how these were trained; the
recipe here is a published one that is in common use.

From the paper: windows of 8 to 100 % of the area, aspect ratios of 3/4 to 4/3, flips (section 2.1); SGD with
0.1 * batch / 256, 5 epochs of warm-up (3.1), 1e-4 of weight decay, none on biases and norms (3.1), cosine
(5.1), label smoothing of 0.1 (5.2, Szegedy et al. 2016), 120 epochs.

From its released code: brightness, contrast and saturation by up to 40 %; the paper names hue, saturation and
brightness.

For transformers (``paper_vit``): AdamW, 5e-4 * batch / 512, 0.05 of weight decay, 300 epochs, 5 of warm-up
(Touvron et al., *DeiT*, 2021, Table 9), without its mixing of images and random augmentation.

Our choice: windows are cut from images at the working size, as they are kept; no PCA noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geopretrain import pictures
from geopretrain.data.augment.batches import augment_labelled, jitter_colours
from geopretrain.data.augment.views import random_views
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import Description, Fields
from geopretrain.errors import require
from geopretrain.metrics.classification import Accuracies
from geopretrain.networks import Backbone
from geopretrain.schema import Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.validation import LossValidation

PAPER = Preset(
    size=(224, 224),
    batch_size=256,
    lr=0.1,
    lr_batch=256,
    schedule="cosine",
    epochs=120,
    warmup_fraction=5 / 120,
    optimizer="sgd",
    weight_decay=1e-4,
)
"""He et al. 2019, Table 6."""
PAPER_VIT = Preset(
    size=(224, 224),
    batch_size=1024,
    lr=5e-4,
    lr_batch=512,
    schedule="cosine",
    epochs=300,
    warmup_fraction=5 / 300,
    optimizer="adamw",
    weight_decay=0.05,
)
"""Touvron et al. 2021, Table 9."""
TOP = 5
"""Classes among which the right one counts for the second accuracy."""


@checked
class ClassificationConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model."""
    class_names: tuple[str, ...] = ()
    """Names of the classes; those of the data."""
    smoothing: Unit = 0.1
    """Part of the target that is shared out among all classes."""
    min_scale: Unit = 0.08
    """Least area of the window of the image that is shown, as a fraction."""
    colours: Unit = 0.4
    """Largest change of brightness, contrast and saturation, as a fraction."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""

    def __post_init__(self) -> None:
        require(self.min_scale > 0, "min_scale", "above 0", self.min_scale)
        require(self.smoothing < 1, "smoothing", "below 1", self.smoothing)


class Classification(Task):
    """The method as a task: ``encoder`` and ``classifier``.

    Args:
        config: options of the method.
        backbone: initialised.
    """

    name: ClassVar[str] = "classification"
    Config = ClassificationConfig
    required = Fields(names=("image_labels",))
    validation_samples: ClassVar[int] = 512

    def __init__(self, config: ClassificationConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: ClassificationConfig = config
        self.encoder = backbone
        self.classifier = nn.Linear(backbone.embedding_width, max(2, len(config.class_names)))

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "encoder.model.", "classifier.": "classifier."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: He et al. 2019; ``paper_vit``: Touvron et al. 2021."""
        return {"paper": PAPER, "paper_vit": PAPER_VIT, "short": SHORT, "tiny": TINY}

    def decided_by(self, data: Description) -> dict[str, Any]:
        """Return the names of the classes."""
        return {"class_names": data.class_names}

    # ---- learning
    def train_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Cut out a random window, flip, change the colours."""
        views = random_views(batch, scale=(self.config.min_scale, 1.0), flip=self.config.flip)
        return replace(views, images=jitter_colours(views.images, self.config.colours))

    def eval_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Return whole images."""
        return augment_labelled(batch, flip=0.0)

    def logits(self, images: Tensor) -> Tensor:
        """Return ``B K`` for images ``B 3 H W`` in [0, 1]."""
        scores: Tensor = self.classifier(self.encoder.embed(images))
        return scores

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the cross-entropy with smoothed labels (equation 5 of the paper).

        Args:
            batch: transformed, with the class of each image.
        """
        logits, labels = self.logits(batch.images), batch.required("image_labels")
        loss = self.error(logits, labels)
        return loss, {"accuracy": (logits.detach().argmax(1) == labels).float().mean()}

    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean error of logits ``B K`` for classes ``B``."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.cross_entropy(logits.float(), labels, label_smoothing=self.config.smoothing)

    # ---- judging
    def validation(self, seed: int) -> LossValidation:
        """Return the accumulator of loss, accuracies and RankMe."""
        return ClassificationValidation(self, seed)

    @torch.no_grad()
    def pictures(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one picture per sample, captioned with its class and the one it is taken for."""
        images = self.eval_transform(batch).images
        predicted, names = self.logits(images).argmax(1).tolist(), self.config.class_names
        rows = {}
        for i, label in enumerate(batch.required("image_labels").tolist()):
            caption = f"{names[label]}: {'right' if predicted[i] == label else names[predicted[i]]}"
            rows[f"sample_{i:02d}"] = pictures.side_by_side(
                [pictures.image(images[i].cpu().numpy())], [caption]
            )
        return rows

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        accuracy, chance = logs.get("accuracy", 1.0), 1 / max(2, len(self.config.class_names))
        if step >= SETTLED_AFTER and accuracy <= chance:
            return [
                f"Classes are told not better ({accuracy:.1%} right) than chance ({chance:.1%}): nothing is "
                "learned yet. Change the learning rate, or train longer."
            ]
        return []


class ClassificationValidation(LossValidation):
    """``top1`` and ``top5`` accuracy beside loss and RankMe, on whole held-out images."""

    protocol = "top-1 and top-5 accuracy on whole held-out images, evaluation mode; loss with smoothed labels"
    task: Classification

    def __init__(self, task: Classification, seed: int) -> None:
        super().__init__(task, seed)
        self.accuracies = Accuracies(len(task.config.class_names), TOP, task.device)

    def loss_of(self, batch: LabelledBatch) -> Tensor:
        """Return the loss of a batch, and count what is right in it."""
        logits = self.task.logits(self.task.eval_transform(batch).images)
        labels = batch.required("image_labels")
        self.accuracies.update(logits.float(), labels)
        return self.task.error(logits, labels)

    def compute(self) -> dict[str, Any]:
        """Return loss, accuracies in [0, 1] and RankMe; ``top5`` only of more than five classes."""
        return {**super().compute(), **self.accuracies.compute()}
