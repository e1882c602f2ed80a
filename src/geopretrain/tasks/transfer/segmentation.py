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
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.augment.mixing import depth_mix
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE, Fields
from geopretrain.losses.segmentation import class_weights, segmentation_loss
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.networks.batch_norm import set_momentum
from geopretrain.networks.depth_input import DepthInput
from geopretrain.networks.depth_net import DepthNet
from geopretrain.tasks.base import Logs, SegmentationTask
from geopretrain.tasks.diagnostics import not_a_number
from geopretrain.tasks.predictions import SegmentationPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.base import ClassTransfer
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_presets import PRESETS
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation
from geopretrain.tasks.transfer.views import augmented
from geopretrain.weights import Init, LoadReport

DEPTH_INPUT = "depth_input."
"""Prefix of the tensors that show depth to the backbone."""
MAX_VIEWS = 4
"""Images that are drawn as they are learned from."""


class Segmentation(ClassTransfer, SegmentationTask):
    """The transfer as a task: ``network`` and its loss.

    Args:
        config: options of the transfer.
        backbone: the encoder, initialised.
        new_encoder: the encoder starts from random numbers.
    """

    name: ClassVar[str] = "segmentation"
    Config = SegmentationConfig
    class_layers = ("decoder.heads.",)
    class_weights: Tensor | None
    network: SegmentationNet
    required = Fields(names=("labels",))

    def __init__(self, config: SegmentationConfig, backbone: Backbone, new_encoder: bool = False) -> None:
        super().__init__(new_encoder)
        self.config: SegmentationConfig = config
        self.network = SegmentationNet(
            backbone, config.num_classes, config.head, config.output_stride, config.blocks
        )
        self.network.depth_input = _depth_input(config)  # last: the rest begins as it does without
        set_momentum(self.network.backbone, config.backbone_bn_momentum)
        set_momentum(self.network.decoder, config.head_bn_momentum)
        weighted = config.class_weights != "none"
        self.register_buffer("class_weights", torch.ones(config.num_classes) if weighted else None)
        if self.frozen:
            self.freeze()
        self.train()

    def taken_over(
        self, init: Init, others: Mapping[str, Tensor], report: LoadReport
    ) -> tuple[Mapping[str, Tensor], dict[str, str]]:
        """Return the decoder, in mode ``full``, without the layer that told other classes apart.

        Heads other than the depth decoder start fresh, in every mode.
        """
        others, fresh = super().taken_over(init, others, report)
        if self.config.depth_head:
            return others, fresh
        fresh = {"head.": f"head={self.config.head} starts fresh; only the depth decoder is taken over"}
        report.skipped += [(name, fresh["head."]) for name in others if name.startswith("decoder.")]
        return {name: t for name, t in others.items() if not name.startswith("decoder.")}, fresh

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings."""
        return PRESETS

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        saved = "decoder." if self.config.depth_head else "head."
        parts = {"backbone.": "network.backbone.model.", saved: "network.decoder."}
        return (
            {**parts, DEPTH_INPUT: f"network.{DEPTH_INPUT}"}
            if self.network.depth_input is not None
            else parts
        )

    @property
    def frozen(self) -> bool:
        """Whether the encoder does not change; under a linear probe it never does."""
        return self.config.frozen

    def prepare_training(self, batches: Iterable[LabelledBatch]) -> None:
        """Count classes and measure the batch-norm statistics of a frozen random encoder, where asked for."""
        counted = self._counting(batches) if self.class_weights is not None else batches
        super().prepare_training(counted)
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
        """Cut, flip, mix, change colours and turn into floats, as the settings say."""
        return augmented(batch, self.config, self.encoder.mean.flatten()[:3], self._mixed)

    def _mixed(self, batch: LabelledBatch) -> LabelledBatch:
        """Return images of which some are made of two; nothing is drawn where none are."""
        config = self.config
        return depth_mix(batch, config.depth_mix, config.depth_margin) if config.depth_mix else batch

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

    @property
    def augments(self) -> bool:
        """Whether images are cut, mixed, or changed in colour."""
        return self.config.changes or self.config.depth_mix > 0

    @torch.no_grad()
    def views(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one picture: images as read, how near what they show is where that is known, what is learned
        from, and its labels; a row each of the first few."""
        from geopretrain import pictures

        seen, colours = self.train_transform(batch), self.class_colours
        columns = {"image": [pictures.image(one) for one in as_float(batch.images).cpu().numpy()]}
        if batch.nearness is not None:
            near = batch.nearness[:, 0].clamp(min=0).cpu().numpy()
            columns["near (bright)"] = [pictures.colour_depth(one, (0.0, 1.0)) for one in near]
        columns["learned from"] = [pictures.image(one) for one in seen.images.cpu().numpy()]
        labels = self.learned_labels(seen.required("labels")).cpu().numpy()
        columns["its labels"] = [pictures.colour_labels(one, colours) for one in labels]
        return {"learned_from": pictures.beside({name: c[:MAX_VIEWS] for name, c in columns.items()})}

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return a sentence when the loss is not a number."""
        return not_a_number(logs, step)


def _depth_input(config: SegmentationConfig) -> DepthInput | None:
    """Return what shows depth to the backbone, with random weights; None where nothing does."""
    if not config.depth_input or config.depth_backbone is None:
        return None
    return DepthInput(
        DepthNet(Backbone(config.depth_backbone), (0,), config.depth_upsampling), config.depth_range
    )
