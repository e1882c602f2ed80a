"""From depth to semantics: a pre-trained depth network becomes a segmenter with few labels.

Lao et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024.

From the paper: the decoder is the depth decoder with its last layer replaced (section 3); encoder and
decoder both start from depth, or the encoder alone, or the encoder is frozen; cross-entropy; horizontal
flips.

From the released code: only the finest scale is used; no class weights.

Our choice: 255 is the id of pixels without a label; frozen means that neither parameters nor batch-norm
statistics change, and a random encoder gets its statistics from the training images before it is frozen
(batch-norm recalibration); a batch without any labelled pixel gives a loss of 0. What the released script
does instead lives in ``released.py`` and is switched on by ``as_released``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE, Fields
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.networks.batch_norm import recalibrate_batch_norm
from geopretrain.schema import Unit, checked
from geopretrain.tasks.base import Logs, SegmentationTask
from geopretrain.tasks.diagnostics import not_a_number
from geopretrain.tasks.predictions import SegmentationPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    read_init,
    read_lineage,
)

PRESETS = {
    "paper": Preset(steps=20_000, batch_size=16, lr=1e-5, schedule="cosine"),
    "short": Preset(steps=300, batch_size=8, lr=1e-3, schedule="cosine", warmup_steps=20),
    "tiny": Preset(steps=20, batch_size=4, lr=1e-3, schedule="cosine", warmup_steps=2),
}
"""``paper``: section 4 of the paper, KITTI."""


@checked
class SegmentationConfig:
    """Options of the transfer; the defaults are the paper's, with correct behaviour.

    Raises:
        ConfigError: an option has an impossible value.
    """

    num_classes: int
    """Number of classes; labels are 0 to ``num_classes - 1``, 255 = no label."""
    backbone: str = "resnet18"
    """Encoder: any timm model, the one that the initial weights were made with."""
    mode: Literal["full", "encoder", "frozen"] = "full"
    """``full``: encoder and decoder start from the initial weights; ``encoder``: the decoder starts fresh;
    ``frozen``: as ``encoder``, and the encoder does not change in any way."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""
    as_released: bool = False
    """Behave as the released script does, defects included (see ``tasks/transfer/released.py``)."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes in results; None = numbers."""
    class_colours: tuple[tuple[int, int, int], ...] | None = None
    """Colours of the classes in pictures; None = colours made up."""

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= IGNORE:
            raise ConfigError(f"num_classes must be 2 to {IGNORE}, not {self.num_classes}.")


class Segmentation(SegmentationTask):
    """The transfer as a task: ``network`` and its loss.

    Args:
        config: options of the transfer.
        backbone: the encoder, initialised.
        new_encoder: the encoder starts from random numbers.
    """

    name: ClassVar[str] = "segmentation"
    Config = SegmentationConfig
    required = Fields(names=("labels",))

    def __init__(self, config: SegmentationConfig, backbone: Backbone, new_encoder: bool = False) -> None:
        super().__init__()
        self.config: SegmentationConfig = config
        self.new_encoder = new_encoder
        self.network = SegmentationNet(backbone, config.num_classes)
        if config.mode == "frozen":
            self.freeze()
        self.train()

    @classmethod
    def create(cls, config: SegmentationConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; in mode ``full`` a run also gives its decoder without last layer.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone, init.kind == "random")
        reason = f"mode '{config.mode}' starts with a fresh decoder"
        fresh = {} if config.mode == "full" else {"decoder.": reason}
        others = found.others if _same_classes(init, task.class_names) else _without_heads(found.others)
        init_other_parts(task, others, report, fresh=fresh)
        return task, report

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings."""
        return PRESETS

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "network.backbone.model.", "decoder.": "network.decoder."}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        return self.config.class_names or tuple(str(i) for i in range(self.config.num_classes))

    @property
    def class_colours(self) -> np.ndarray:
        """Colours of the classes in pictures, ``K 3`` uint8."""
        from geopretrain.pictures import class_palette

        chosen = self.config.class_colours
        return class_palette(self.config.num_classes) if chosen is None else np.array(chosen, np.uint8)

    def freeze(self) -> None:
        """Let the encoder's parameters be; its statistics stand still by ``train``."""
        self.network.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; a frozen encoder stays in evaluation mode: its statistics stand still."""
        super().train(mode)
        if self.config.mode == "frozen":
            self.network.backbone.eval()
        return self

    def prepare_training(self, batches: Iterable[LabelledBatch]) -> None:
        """Measure the batch-norm statistics of a frozen random encoder once, on the training images.

        As built it believes in mean 0 and variance 1 everywhere, so its features are badly scaled, and any
        pre-training would win for that reason alone.
        """
        if self.config.mode == "frozen" and self.new_encoder:
            recalibrate_batch_norm(self.network.backbone, (as_float(batch.images) for batch in batches))
            self.train(self.training)

    def train_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Flip and turn into floats."""
        return augment_labelled(batch, flip=self.config.flip)

    def eval_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Turn into floats."""
        return augment_labelled(batch, flip=0.0)

    def learned_labels(self, labels: Tensor) -> Tensor:
        """Return the labels ``B H W`` as the loss takes them."""
        return labels

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the cross-entropy over labelled pixels, and the fraction of them that is right."""
        logits = self.network(batch.images).float()
        labels = self.learned_labels(batch.required("labels"))
        loss = segmentation_loss(logits, labels)
        labelled = labels != IGNORE
        right = ((logits.detach().argmax(1) == labels) & labelled).sum() / labelled.sum().clamp(min=1)
        return loss, {"cross_entropy": loss.detach(), "pixel_accuracy": right}

    def predict(self, images: Tensor) -> SegmentationPrediction:
        """Map images ``B 3 H W`` in [0, 1] to classes."""
        return SegmentationPrediction(self.network(images))

    def validation(self, seed: int) -> SegmentationValidation:
        """Return the accumulator of mIoU and pixel accuracy, against the labels as the data have them."""
        return SegmentationValidation(self)

    @torch.no_grad()
    def pictures(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: image, truth, prediction."""
        from geopretrain import pictures

        images = as_float(batch.images)
        predicted, colours = self.predict(images).classes.cpu().numpy(), self.class_colours
        rows = {}
        for i in range(len(images)):
            parts = [
                pictures.image(images[i].cpu().numpy()),
                pictures.colour_labels(batch.required("labels")[i].cpu().numpy(), colours),
                pictures.colour_labels(predicted[i], colours),
            ]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, ["image", "truth", "prediction"])
        return rows

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return a sentence when the loss is not a number."""
        return not_a_number(logs, step)


def _same_classes(init: Init, names: tuple[str, ...]) -> bool:
    """Return whether a run told the same classes apart, so that its last layer means something here."""
    before = read_lineage(init.source).get("classes") if init.kind == "run" else None
    return before is None or tuple(before["names"]) == names


def _without_heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("decoder.heads.")}


def segmentation_loss(logits: Tensor, labels: Tensor, ignore: int = IGNORE) -> Tensor:
    """Return the mean cross-entropy over labelled pixels, no class weights; 0 where no pixel is labelled.

    Args:
        logits: ``B K H W``.
        labels: ``B H W`` int64.
        ignore: id of pixels without a label.
    """
    total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
    return total / (labels != ignore).sum().clamp(min=1)
