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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.augment.batches import augment_labelled, jitter_colours
from geopretrain.data.augment.views import labelled_views, scaled_crops
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE, Fields
from geopretrain.losses.segmentation import class_weights, segmentation_loss
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.networks.batch_norm import recalibrate_batch_norm, set_momentum
from geopretrain.tasks.base import Logs, SegmentationTask
from geopretrain.tasks.diagnostics import not_a_number
from geopretrain.tasks.predictions import SegmentationPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_presets import PRESETS
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    read_init,
    read_lineage,
)


class Segmentation(SegmentationTask):
    """The transfer as a task: ``network`` and its loss.

    Args:
        config: options of the transfer.
        backbone: the encoder, initialised.
        new_encoder: the encoder starts from random numbers.
    """

    name: ClassVar[str] = "segmentation"
    Config = SegmentationConfig
    class_weights: Tensor | None
    required = Fields(names=("labels",))

    def __init__(self, config: SegmentationConfig, backbone: Backbone, new_encoder: bool = False) -> None:
        super().__init__()
        self.config: SegmentationConfig = config
        self.new_encoder = new_encoder
        self.network = SegmentationNet(
            backbone, config.num_classes, config.head, config.output_stride, config.blocks
        )
        set_momentum(self.network.backbone, config.backbone_bn_momentum)
        set_momentum(self.network.decoder, config.head_bn_momentum)
        weighted = config.class_weights != "none"
        self.register_buffer("class_weights", torch.ones(config.num_classes) if weighted else None)
        if config.frozen:
            self.freeze()
        self.train()

    @classmethod
    def create(cls, config: SegmentationConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; in mode ``full`` a run also gives its decoder without last layer.

        Heads other than the depth decoder start fresh, in every mode.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone, init.kind == "random")
        others = found.others if _same_classes(init, task.class_names) else _without_heads(found.others)
        if not config.depth_head:
            fresh = {"head.": f"head={config.head} starts fresh; only the depth decoder is taken over"}
            report.skipped += [(name, fresh["head."]) for name in others if name.startswith("decoder.")]
            others = {name: t for name, t in others.items() if not name.startswith("decoder.")}
        elif config.mode != "full":
            fresh = {"decoder.": f"mode '{config.mode}' starts with a fresh decoder"}
        else:
            fresh = {}
        init_other_parts(task, others, report, fresh=fresh)
        return task, report

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings."""
        return PRESETS

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        saved = "decoder." if self.config.depth_head else "head."
        return {"backbone.": "network.backbone.model.", saved: "network.decoder."}

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
        if self.config.frozen:
            self.network.backbone.eval()
        return self

    def prepare_training(self, batches: Iterable[LabelledBatch]) -> None:
        """Count classes and measure the batch-norm statistics of a frozen random encoder, where asked for.

        As built it believes in mean 0 and variance 1 everywhere, so its features are badly scaled, and any
        pre-training would win for that reason alone.
        """
        counted = self._counting(batches) if self.class_weights is not None else batches
        if self.config.frozen and self.new_encoder:
            recalibrate_batch_norm(self.network.backbone, (as_float(batch.images) for batch in counted))
            self.train(self.training)
        for _ in counted if self.class_weights is not None else ():
            pass  # counting what was not looked at above

    def _counting(self, batches: Iterable[LabelledBatch]) -> Iterator[LabelledBatch]:
        """Return the batches; after the last one the weights of the classes are known."""
        pixels, images = torch.zeros(2, self.config.num_classes, dtype=torch.long)
        for batch in batches:
            for labels in self.learned_labels(batch.required("labels")):
                found = labels[labels != IGNORE].flatten().bincount(minlength=len(pixels)).cpu()
                pixels += found
                images += torch.where(found > 0, found.sum(), 0)
            yield batch
        assert self.class_weights is not None  # see `prepare_training`
        self.class_weights.copy_(class_weights(pixels, images, self.config.class_weights))

    def train_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Cut, flip, change colours and turn into floats, as the settings say."""
        views, strength = self.views(batch), self.config.jitter
        return replace(views, images=jitter_colours(views.images, strength)) if strength else views

    def views(self, batch: LabelledBatch) -> LabelledBatch:
        """Return what is shown of images and labels, flipped at random, as floats."""
        config = self.config
        if config.crops:
            return scaled_crops(
                batch,
                zoom=config.zoom or (1.0, 1.0),
                size=config.crop or (batch.images.shape[-2], batch.images.shape[-1]),
                flip=config.flip,
                fill=self.network.backbone.mean.flatten()[:3],
            )
        if config.min_scale < 1:
            return labelled_views(batch, scale=(config.min_scale, 1.0), flip=config.flip)
        return augment_labelled(batch, flip=config.flip)

    def eval_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Turn into floats."""
        return augment_labelled(batch, flip=0.0)

    def learned_labels(self, labels: Tensor) -> Tensor:
        """Return the labels ``B H W`` as the loss takes them."""
        return labels

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the cross-entropy over the pixels that count, and which fraction of all is right."""
        logits = self.network(batch.images).float()
        labels = self.learned_labels(batch.required("labels"))
        loss = segmentation_loss(
            logits,
            labels,
            weights=self.class_weights,
            hard_fraction=self.config.ohem_fraction,
            hard_threshold=self.config.ohem_threshold,
        )
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
