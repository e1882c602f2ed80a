"""From depth to semantics: a pre-trained depth network becomes a segmenter with few labels.

Lao et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024.

From the paper: the decoder is the depth decoder with its last layer replaced (section 3); encoder and
decoder both start from depth, or the encoder alone, or the encoder is frozen; cross-entropy; horizontal
flips.

From the released code: only the finest scale is used; no class weights.

Our choice: 255 is the id of pixels without a label; frozen means that neither parameters nor batch-norm
statistics change, and a random encoder gets its statistics from the training images before it is frozen
(``settle_statistics``); a batch without any labelled pixel gives a loss of 0. What the released script
does instead is described in ``released.py`` and switched on by ``as_released``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import IGNORE
from geopretrain.errors import ConfigError, nearest_name
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.tasks.base import Task
from geopretrain.tasks.transfer.released import IGNORED_CLASS, RAW_CLASSES, released_labels
from geopretrain.weights import Init, LoadReport, init_backbone, init_other_parts, read_init

MODES = ("full", "encoder", "frozen")


@dataclass(frozen=True)
class SegmentationConfig:
    """Options of the transfer; the defaults are the paper's, with correct behaviour.

    Raises:
        ConfigError: an option has an impossible value.
    """

    num_classes: int
    """Number of classes; labels are 0 to ``num_classes - 1``, 255 = no label."""
    backbone: str = "resnet18"
    """Encoder: any timm model, the one that the initial weights were made with."""
    mode: str = "full"
    """``full``: encoder and decoder start from the initial weights; ``encoder``: the decoder starts fresh;
    ``frozen``: as ``encoder``, and the encoder does not change in any way."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    as_released: bool = False
    """Behave as the released script does, defects included (see ``transfer/released.py``)."""
    class_colours: tuple[tuple[int, int, int], ...] | None = None
    """Colours of the classes in pictures; None = colours made up."""

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= IGNORE:
            raise ConfigError(f"num_classes must be 2 to {IGNORE}, not {self.num_classes}.")
        if self.mode not in MODES:
            hint = nearest_name(self.mode, MODES)
            raise ConfigError(f"Unknown mode '{self.mode}'.{hint} Modes: {', '.join(MODES)}.")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip must be between 0 and 1, not {self.flip}.")


class Segmentation(Task):
    """The transfer as a task: ``network`` and its loss.

    Attributes:
        accumulate_gradients: the engine must not clear gradients between steps (D1, only ``as_released``).
        lr_per_epoch: the engine changes the learning rate once per pass over the training images
            instead of every
            step (only ``as_released``).

    Args:
        config: options of the transfer.
        backbone: the encoder, initialised.
    """

    name: ClassVar[str] = "segmentation"
    weight_parts: ClassVar[dict[str, str]] = {
        "backbone.": "network.backbone.model.",
        "decoder.": "network.decoder.",
    }

    def __init__(self, config: SegmentationConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.accumulate_gradients = config.as_released
        self.lr_per_epoch = config.as_released
        self.network = SegmentationNet(backbone, config.num_classes)
        if config.mode == "frozen" and not config.as_released:
            backbone.requires_grad_(False)
        self.train()

    @classmethod
    def create(cls, config: SegmentationConfig, init: Init) -> tuple[Segmentation, LoadReport]:
        """Build the task from ``init``; in mode ``full`` a run also gives its decoder without last layer.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone)
        reason = f"mode '{config.mode}' starts with a fresh decoder"
        fresh = {} if config.mode == "full" else {"decoder.": reason}
        init_other_parts(task, found.others, report, fresh=fresh)
        return task, report

    @torch.no_grad()
    def settle_statistics(self, images: Tensor, batch_size: int = 8) -> None:
        """Measure the encoder's batch-norm statistics on images ``B 3 H W`` in [0, 1], once, before training.

        For a frozen random encoder: as built it believes in mean 0 and variance 1 everywhere, so its features
        are badly scaled, and any pre-training would win for that reason alone.
        """
        norms = [m for m in self.network.backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over the batches
            norm.train()
        for part in images.split(batch_size):
            self.network.backbone(part)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.train(self.training)

    def train(self, mode: bool = True) -> Segmentation:
        """Switch to training; a frozen encoder stays in evaluation mode: its statistics stand still."""
        super().train(mode)
        if self.config.mode == "frozen":
            self.network.backbone.eval()
        return self

    def augment(self, batch: LabelledBatch) -> LabelledBatch:
        """Flip (the released script does not, D5) and turn into floats."""
        from geopretrain.data.augment.batches import augment_labelled

        return augment_labelled(batch, flip=0.0 if self.config.as_released else self.config.flip)

    def training_loss(self, batch: LabelledBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy over labelled pixels and the share of them that is right."""
        logits = self.network(batch.images).float()
        labels = self._learned_labels(batch.required("labels"))
        loss = segmentation_loss(logits, labels)
        labelled = labels != IGNORE
        right = ((logits.detach().argmax(1) == labels) & labelled).sum() / labelled.sum().clamp(min=1)
        return loss, {"cross_entropy": loss.detach(), "pixel_accuracy": right}

    def predict(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` in [0, 1] to class ids ``B H W`` uint8."""
        logits: Tensor = self.network(images)
        return logits.argmax(1).to(torch.uint8)

    @torch.no_grad()
    def pictures(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: image, truth, prediction."""
        from geopretrain import pictures

        images = batch.images.float() / 255 if batch.images.dtype == torch.uint8 else batch.images
        predicted = self.predict(images).cpu().numpy()
        chosen = self.config.class_colours
        colours = (
            pictures.class_palette(self.config.num_classes) if chosen is None else np.array(chosen, np.uint8)
        )
        rows = {}
        for i in range(len(images)):
            parts = [
                pictures.image(images[i].cpu().numpy()),
                pictures.colour_labels(batch.required("labels")[i].cpu().numpy(), colours),
                pictures.colour_labels(predicted[i], colours),
            ]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, ["image", "truth", "prediction"])
        return rows

    def health(self, logs: dict[str, float], step: int) -> list[str]:
        """Return a sentence when the loss is not a number."""
        loss: Any = logs.get("cross_entropy", 0.0)
        if np.isfinite(loss):
            return []
        return [
            f"The loss is not a number at step {step}: use a third of the learning rate, or train in fp32."
        ]

    def _learned_labels(self, labels: Tensor) -> Tensor:
        """Return the labels as the loss takes them; the released script never learns class 0."""
        if not self.config.as_released:
            return labels
        if self.config.num_classes == RAW_CLASSES:
            table = torch.from_numpy(released_labels(np.arange(256))).to(labels.device, labels.dtype)
            labels = table[labels]
        return labels.masked_fill(labels == IGNORED_CLASS, IGNORE)


def segmentation_loss(logits: Tensor, labels: Tensor, ignore: int = IGNORE) -> Tensor:
    """Return the mean cross-entropy over labelled pixels, no class weights; 0 where no pixel is labelled.

    Args:
        logits: ``B K H W``.
        labels: ``B H W`` int64.
        ignore: id of pixels without a label.
    """
    total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
    return total / (labels != ignore).sum().clamp(min=1)
