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
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from geopretrain import losses, pictures
from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Description, Fields
from geopretrain.networks import Backbone
from geopretrain.networks.hidden_views import HiddenViews
from geopretrain.networks.visible_tokens import CrossViewDecoder
from geopretrain.schema import Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.painting import PaintingConfig, check_hidden, hidden_error, nothing_painted
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step

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
class CrossViewConfig(PaintingConfig):
    """Options of the method; the defaults are the paper's."""

    hidden: Unit = 0.9
    """Fraction of the first view that is hidden."""


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

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        parts = {"backbone.": "encoder.encoder.backbone.model.", "painter.": "decoder."}
        return parts if self.encoder.plain else {**parts, "mask.": "encoder.encoder.mask."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 4."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def check_data(self, data: Description) -> None:
        """Make sure that something is hidden of a view, and something left (ConfigError)."""
        check_hidden(*self.encoder.parts(data.size, self.config.hidden), data.size, "hidden=...")

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
            return hidden_error(painted, self.target(view), hidden)

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
        return nothing_painted(logs, step)
