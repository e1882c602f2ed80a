"""Cross-view completion: most of a frame is hidden, and is restored from the rest and a neighbouring frame.

After Weinzaepfel, Leroy, Lucas et al., *CroCo: Self-Supervised Pre-training for 3D Vision Tasks by Cross-View
Completion*, NeurIPS 2022; written from the paper. What is hidden can be found in the other frame by whoever
understands how the scene is built and how the camera moved.

From the paper: 90 % of the patches of one view are hidden (section 4.1, Table 1); one encoder for both views
(3.2); a decoder of 8 blocks of width 512 with self-attention, attention to the other view and an MLP
("CrossBlock", figure 3, Table 2); the squared error of the hidden patches, whose colours are normalised patch
by patch (3.2); AdamW with beta2 0.95, 0.05 of weight decay, 1.5e-4 * batch / 256, 400 epochs, 40 of warm-up,
cosine (4).

Our choice: neighbouring frames of video instead of rendered pairs; any size of image; any backbone. Plain
transformers compute on visible patches only; others, convolutional ones for instance, get a learned token or
colour in place of what is hidden (see `simmim`), cells of 32 px.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain import losses, pictures
from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Fields
from geopretrain.errors import require
from geopretrain.networks import Backbone
from geopretrain.networks.hidden_views import HiddenViews
from geopretrain.networks.visible_tokens import CrossViewDecoder
from geopretrain.schema import Count, Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step
from geopretrain.weights import Init, LoadReport, init_backbone, init_other_parts, read_init

PAPER = Preset(
    size=(224, 224),
    batch_size=256,
    lr=1.5e-4,
    lr_batch=256,
    schedule="cosine",
    epochs=400,
    warmup_fraction=40 / 400,
    optimizer="adamw",
    beta2=0.95,
    weight_decay=0.05,
)
"""Section 4."""


@checked
class CrossViewConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "vit_small_patch16_224"
    """Encoder: any timm model; the paper's is a ViT."""
    hidden: Unit = 0.9
    """Fraction of the first view that is hidden."""
    normalise_target: bool = True
    """Compare with the colours of a patch less their mean, divided by their deviation."""
    decoder_width: Count = 512
    """Channels of the decoder, a multiple of 4 and of the heads."""
    decoder_depth: Count = 8
    """Blocks of the decoder."""
    decoder_heads: Count = 16
    """Attention heads of the decoder."""
    flip: Unit = 0.5
    """Probability of a horizontal flip of both views."""

    def __post_init__(self) -> None:
        require(0 < self.hidden < 1, "hidden", "between 0 and 1", self.hidden)
        width, heads = self.decoder_width, self.decoder_heads
        require(
            width % 4 == 0 and width % heads == 0,
            "decoder_width",
            f"a multiple of 4 and of decoder_heads ({heads})",
            width,
        )


class CrossView(Task):
    """The method as a task: ``encoder`` and ``decoder``.

    Args:
        config: options of the method.
        backbone: initialised.
    """

    name: ClassVar[str] = "cross_view"
    Config = CrossViewConfig
    required = Fields(frames=(0, 1))

    def __init__(self, config: CrossViewConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: CrossViewConfig = config
        self.encoder = HiddenViews(backbone)
        self.patch = backbone.last_stride
        self.decoder = CrossViewDecoder(
            backbone.channels[-1],
            outputs=3 * self.patch**2,
            width=config.decoder_width,
            depth=config.decoder_depth,
            heads=config.decoder_heads,
        )

    @classmethod
    def create(cls, config: CrossViewConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run of this method also gives its decoder.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone)
        init_other_parts(task, found.others, report)
        return task, report

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        parts = {"backbone.": "encoder.encoder.backbone.model.", "painter.": "decoder."}
        return parts if self.encoder.plain else {**parts, "mask.": "encoder.encoder.mask."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 4."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Flip both views alike."""
        return augment_clip(batch, flip=self.config.flip, jitter=0.0)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the views as floats."""
        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the squared error of the hidden patches.

        Args:
            batch: transformed, ``B 2 3 H W``: the view to be completed, the other view.
        """
        view, other = (self.encoder.backbone.whole_patches(v) for v in batch.images.unbind(1))
        painted, hidden = self.complete(view, other)
        with torch.autocast(view.device.type, enabled=False):
            target = self.target(view)
            count = hidden.sum().clamp(min=1)
            loss = ((painted.float() - target).square().mean(2) * hidden).sum() / count
            spread = (target - target.mean((1, 2), keepdim=True)).square().mean(2)
        return loss, {"hidden_mse": loss.detach(), "baseline_mse": (spread * hidden).sum() / count}

    def complete(self, view: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return patches ``B N 3*patch*patch`` of the view, and ``B N``, 1 where they were hidden."""
        grid = (view.shape[-2] // self.patch, view.shape[-1] // self.patch)
        features, places, hidden = self.encoder(view, self.config.hidden)
        return self.decoder(features, places, self.encoder.whole(other), grid), hidden

    def target(self, images: Tensor) -> Tensor:
        """Return what is painted, ``B N 3*patch*patch``."""
        patches = losses.patches_of(self.encoder.backbone.normalise(images), self.patch)
        return losses.normalised_patches(patches) if self.config.normalise_target else patches

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: the other view, the view, what is left of it, what is made of both."""
        backbone = self.encoder.backbone
        images = self.eval_transform(batch).images
        view, other = (backbone.whole_patches(v) for v in images.unbind(1))
        painted, hidden = self.complete(view, other)
        grid = (view.shape[-2] // self.patch, view.shape[-1] // self.patch)
        if self.config.normalise_target:  # the decoder does not know a patch's mean and deviation
            patches = losses.patches_of(backbone.normalise(view), self.patch)
            painted = losses.like_patches(painted.float(), patches)
        whole = backbone.unnormalise(losses.from_patches(painted.float(), grid))
        where = losses.from_patches(hidden[:, :, None].expand_as(painted), grid) > 0
        return pictures.image_rows(
            {
                "other view": other,
                "view": view,
                "what is left": torch.where(where, 0.5, view),
                "completed": torch.where(where, whole, view),
            }
        )

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        error, baseline = logs.get("hidden_mse", 0.0), logs.get("baseline_mse", 1.0)
        if step >= SETTLED_AFTER and error > 0.98 * baseline:
            return [
                f"Hidden patches are painted no better (error {error:.3f}) than with one colour "
                f"({baseline:.3f}): nothing is learned yet. Raise the learning rate, or train longer."
            ]
        return []
