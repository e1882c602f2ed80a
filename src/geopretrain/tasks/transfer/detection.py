"""From pre-training to objects: a backbone becomes a detector with few labels.

Lao et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024, in the
supplement, C.4: Mask R-CNN on a ViT, DINOv2 against Depth Anything. No settings are printed there; the
detector and the settings of ``paper`` are those of ViTDet (Li et al. 2022) on plain transformers, with the
usual feature pyramid network on other backbones.

Our choice: where a data set has no masks, boxes alone are learned (Faster R-CNN); frozen means that neither
parameters nor batch-norm statistics of the encoder change; small images have small anchors and fewer
proposals (`fitted_to`); what few labels are shown with (`short`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import Fields
from geopretrain.networks import Backbone
from geopretrain.networks.detection_net import DetectionNet
from geopretrain.schema import Count, Positive, checked
from geopretrain.tasks.base import DetectionTask, Logs
from geopretrain.tasks.diagnostics import not_a_number
from geopretrain.tasks.drawing import draw_objects
from geopretrain.tasks.predictions import DetectionPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.base import ClassTransfer
from geopretrain.tasks.transfer.detection_validation import DetectionValidation
from geopretrain.tasks.transfer.views import ViewOptions, augmented

PRESETS = {
    "paper": Preset(
        epochs=100,
        batch_size=64,
        lr=1e-4,
        lr_batch=64,
        schedule="cosine",
        warmup_steps=250,
        optimizer="adamw",
        weight_decay=0.1,
        layer_decay=0.8,
        settings={"zoom": "0.1,2"},
    ),
    "short": Preset(
        steps=300,
        batch_size=4,
        lr=5e-4,
        schedule="cosine",
        warmup_steps=30,
        optimizer="adamw",
        settings={"zoom": "0.8,1.25", "jitter": 0.4},
    ),
    "tiny": Preset(steps=20, batch_size=2, lr=5e-4, schedule="cosine", warmup_steps=2, optimizer="adamw"),
}
"""``paper``: ViTDet, appendix A.2 (its steps of the rate are a cosine here), with large-scale jitter from 0.1
to 2. ``short``: for few labels; the zoom is the standard scale jitter of Ghiasi et al. 2021, the colours are
those that Liu et al. (*Unbiased Teacher*, 2021) show their labelled images in."""
LARGE = 200_000
"""Pixels of images from which on heads have their usual size."""
MIN_SIDE = 1.0
"""Sides of boxes, px, below which nothing can be learned from them."""


@checked
class DetectionConfig(ViewOptions):
    """Options of the transfer.

    Raises:
        ConfigError: an option has an impossible value.
    """

    num_classes: Count
    """Number of classes of objects, numbered from 0."""
    backbone: str = "resnet18"
    """Encoder: any timm model, the one that the initial weights were made with."""
    mode: Literal["full", "encoder", "frozen"] = "full"
    """``full``: everything that fits starts from the initial weights; ``encoder``: pyramid and heads start
    fresh; ``frozen``: as ``encoder``, and the encoder does not change in any way."""
    masks: bool = True
    """Find a mask of each object, too (Mask R-CNN); without, boxes alone (Faster R-CNN)."""
    anchor: Positive | None = None
    """Side of the smallest anchors, px; left away: a 25th of the shorter side of the images, from 4 to 32."""
    channels: Count | None = None
    """Channels of pyramid and heads; left away: 256, and 64 where images have less than 200 000 px."""
    regions: Count | None = None
    """Regions of each image that the second stage learns from; left away: 512, and 64 in small images."""
    batch_norm: Literal["trained", "frozen"] = "trained"
    """Statistics of the encoder's batch norm: ``trained`` with it, or ``frozen`` as they came (of a random
    encoder they are measured on the training images first), for batches of very few images."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes in results; None = numbers."""
    class_colours: tuple[tuple[int, int, int], ...] | None = None
    """Colours of the classes in pictures; None = colours made up."""


def fitted_to(config: DetectionConfig, size: tuple[int, int]) -> DetectionConfig:
    """Return the options with what was left away chosen for images of (height, width) px."""
    small = size[0] * size[1] < LARGE
    power = round(np.log2(min(size) / 25))
    return replace(
        config,
        anchor=config.anchor or float(np.clip(2.0**power, 4, 32)),
        channels=config.channels or (64 if small else 256),
        regions=config.regions or (64 if small else 512),
    )


class Detection(ClassTransfer, DetectionTask):
    """The transfer as a task: ``network`` and its losses.

    Args:
        config: options of the transfer; what they leave to the size of images is that of large ones.
        backbone: the encoder, initialised.
        new_encoder: the encoder starts from random numbers.
    """

    name: ClassVar[str] = "detection"
    Config = DetectionConfig
    class_layers = ("heads.box_predictor.", "heads.mask_predictor.")
    network: DetectionNet

    def __init__(self, config: DetectionConfig, backbone: Backbone, new_encoder: bool = False) -> None:
        super().__init__(new_encoder)
        self.config: DetectionConfig = config
        self.required = Fields(names=("boxes", "masks") if config.masks else ("boxes",))
        self.network = DetectionNet(
            backbone,
            config.num_classes,
            masks=config.masks,
            anchor=config.anchor or 32.0,
            channels=config.channels or 256,
            regions=config.regions or 512,
        )
        if self.frozen:
            self.freeze()
        self.train()

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings."""
        return PRESETS

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {
            "backbone.": "network.backbone.model.",
            "pyramid.": "network.pyramid.",
            "proposals.": "network.rpn.",
            "heads.": "network.heads.",
        }

    @property
    def still_statistics(self) -> bool:
        """Whether the statistics of batch norm stand still."""
        return self.frozen or self.config.batch_norm == "frozen"

    def train_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Cut, flip, change colours and turn into floats, as the settings say; objects follow."""
        return augmented(batch, self.config, self.encoder.mean.flatten()[:3])

    def eval_transform(self, batch: LabelledBatch) -> LabelledBatch:
        """Turn into floats."""
        return augment_labelled(batch, flip=0.0)

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the sum of the losses of both stages, and each of them."""
        losses = self.network.losses(batch.images, targets(batch, masks=self.config.masks))
        total = torch.stack(list(losses.values())).sum()
        return total, {name.removeprefix("loss_"): value.detach() for name, value in losses.items()}

    def predict(self, images: Tensor) -> DetectionPrediction:
        """Map images ``B 3 H W`` in [0, 1] to objects, at most 100 of each image, scores above 0.05."""
        found = self.network(images)
        boxes, labels, scores = ([one[name] for one in found] for name in ("boxes", "labels", "scores"))
        return DetectionPrediction(
            boxes, labels, scores, [one["masks"] for one in found] if self.config.masks else None
        )

    def validation(self, seed: int) -> DetectionValidation:
        """Return the accumulator of mAP of boxes and masks."""
        return DetectionValidation(self)

    @torch.no_grad()
    def pictures(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: image, true objects, found objects."""
        from geopretrain import pictures

        images = as_float(batch.images)
        found, shown = self.predict(images), [pictures.image(one) for one in images.cpu().numpy()]
        true = DetectionPrediction(
            list(batch.required("boxes")),
            list(batch.required("box_labels")),
            [torch.ones(len(boxes)) for boxes in batch.required("boxes")],
            list(batch.required("masks")) if self.config.masks else None,
        )
        drawn = {
            name: [
                draw_objects(self, image, what, i, scores=name == "found") for i, image in enumerate(shown)
            ]
            for name, what in (("truth", true), ("found", found))
        }
        return pictures.rows({"image": shown, **drawn})

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return a sentence when the loss is not a number."""
        return not_a_number(logs, step)


def targets(batch: LabelledBatch, *, masks: bool) -> list[dict[str, Tensor]]:
    """Return what is learned of each image: its objects, without crowds and what is thinner than a pixel."""
    found = []
    for i, (boxes, labels) in enumerate(
        zip(batch.required("boxes"), batch.required("box_labels"), strict=True)
    ):
        kept = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all(1)
        if batch.box_crowd is not None:
            kept &= ~batch.box_crowd[i]
        drawn = {}
        if masks:  # of what is small nothing may be left at the working size
            kept &= batch.required("masks")[i].flatten(1).any(1)
            drawn["masks"] = batch.required("masks")[i][kept]
        found.append({"boxes": boxes[kept], "labels": labels[kept], **drawn})
    return found
