"""Masked auto-encoder: a transformer sees a quarter of the patches; a small one restores the others.

He, Chen, Xie et al., *Masked Autoencoders Are Scalable Vision Learners*, CVPR 2022.

From the paper: 75 % of the patches are hidden (section 4.1, figure 5); the encoder gets the visible ones only
(section 3); a decoder of 8 blocks of width 512 gets all, with a learned token for the hidden ones and sine
and cosine position embeddings (section 3, appendix A.1); the squared error of the hidden patches, whose
colours are normalised patch by patch (section 3, Table 1d); windows of 20 to 100 % of the area, flips; AdamW
with beta2 0.95, 0.05 of weight decay, 1.5e-4 * batch / 256, 800 epochs, 40 of warm-up, cosine (Table 8).

Our choice: any size of image, the decoder's position embeddings being those of its grid. Any plain
transformer of timm (ViT, DeiT, DINOv2); networks that need a whole image cannot leave patches out, which is
what makes MAE fast: `simmim` takes those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from geopretrain import losses, pictures
from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.augment.views import random_views
from geopretrain.data.batches import ClipBatch, LabelledBatch, as_images
from geopretrain.data.dataset import Description
from geopretrain.errors import require
from geopretrain.networks import Backbone
from geopretrain.networks.masking import visible_count
from geopretrain.networks.visible_tokens import PatchDecoder, VisibleTokens, random_order
from geopretrain.schema import Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.painting import PaintingConfig, check_hidden, hidden_error, nothing_painted
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step

PAPER = Preset(
    size=(224, 224),
    batch_size=4096,
    lr=1.5e-4,
    lr_batch=256,
    schedule="cosine",
    epochs=800,
    warmup_fraction=40 / 800,
    optimizer="adamw",
    beta2=0.95,
    weight_decay=0.05,
)
"""Appendix A.1, Table 8."""


@checked
class MAEConfig(PaintingConfig):
    """Options of the method; the defaults are the paper's."""

    min_scale: Unit = 0.2
    """Least area of the window of the image that is shown, as a fraction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.min_scale > 0, "min_scale", "above 0", self.min_scale)


class MAE(Task):
    """The method as a task: ``encoder`` and ``decoder``.

    Args:
        config: options of the method.
        backbone: initialised.

    Raises:
        ConfigError: the backbone is no plain transformer.
    """

    name: ClassVar[str] = "mae"
    Config = MAEConfig

    def __init__(self, config: MAEConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: MAEConfig = config
        self.encoder = VisibleTokens(backbone)
        self.patch = self.encoder.patch
        self.decoder = PatchDecoder(
            backbone.channels[-1],
            outputs=3 * self.patch**2,
            width=config.decoder_width,
            depth=config.decoder_depth,
            heads=config.decoder_heads,
        )

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "encoder.backbone.model.", "painter.": "decoder."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: appendix A.1."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def check_data(self, data: Description) -> None:
        """Make sure that something is hidden of the images (ConfigError)."""
        height, width = (side // self.patch for side in self.encoder.backbone.whole_size(data.size))
        patches = height * width
        hidden = patches - visible_count(patches, self.config.hidden)
        check_hidden(patches, hidden, data.size, "hidden=...")

    def train_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Cut out a random window and flip."""
        return random_views(batch, scale=(self.config.min_scale, 1.0), flip=self.config.flip)

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Return whole images."""
        return augment_labelled(as_images(batch), flip=0.0)

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the squared error of the hidden patches.

        Args:
            batch: transformed, ``B 3 H W``.
        """
        images = self.encoder.backbone.whole_patches(batch.images)
        painted, hidden = self.paint(images)
        with torch.autocast(images.device.type, enabled=False):
            return hidden_error(painted, self.target(images), hidden)

    def paint(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return patches ``B N 3*patch*patch`` made from the visible ones, and ``B N``, 1 where hidden."""
        grid = (images.shape[-2] // self.patch, images.shape[-1] // self.patch)
        order = random_order(len(images), grid).to(images.device)
        visible = order[:, : visible_count(order.shape[1], self.config.hidden)]
        hidden = torch.ones(order.shape, device=images.device).scatter_(1, visible, 0.0)
        return self.decoder(self.encoder(images, visible), visible, grid), hidden

    def target(self, images: Tensor) -> Tensor:
        """Return what is painted, ``B N 3*patch*patch``."""
        patches = losses.patches_of(self.encoder.backbone.normalise(images), self.patch)
        return losses.normalised_patches(patches) if self.config.normalise_target else patches

    @torch.no_grad()
    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: the image, what is left of it, and the hidden patches painted."""
        backbone = self.encoder.backbone
        images = backbone.whole_patches(self.eval_transform(batch).images)
        painted, hidden = self.paint(images)
        grid = (images.shape[-2] // self.patch, images.shape[-1] // self.patch)
        patches = losses.patches_of(backbone.normalise(images), self.patch)
        if self.config.normalise_target:  # the decoder does not know a patch's mean and deviation
            painted = losses.like_patches(painted.float(), patches)
        whole = backbone.unnormalise(losses.from_patches(painted.float(), grid))
        where = losses.from_patches(hidden[:, :, None].expand_as(painted), grid) > 0
        return pictures.image_rows(
            {
                "image": images,
                "what is left": torch.where(where, 0.5, images),
                "painted": torch.where(where, whole, images),
            }
        )

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        return nothing_painted(logs, step)
