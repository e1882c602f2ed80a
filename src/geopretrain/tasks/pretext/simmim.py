"""SimMIM: cells of an image are hidden, and a linear layer paints them from the encoder's last features.

Xie, Zhang, Cao et al., *SimMIM: a Simple Framework for Masked Image Modeling*, CVPR 2022; the masked stage of
Khan et al., *MeSa*, 2023.

From the paper: cells of 32 px, 60 % of them hidden (section 4.1.2, Table 1), a learned token in place of
their embeddings (3.2), a linear head (3.3), the absolute error of the hidden pixels (3.4, equation 1);
windows of 67 to 100 % of the area, aspect ratios of 3/4 to 4/3, flips (4.1.1); AdamW, 0.05 of weight decay.

From the released code: the number of hidden cells is rounded up; the rate is 1e-4 * batch / 512; 800 epochs,
warm-up over 10 and x0.1 after 700 (``paper``), or 100 epochs, cosine, 2e-4 * batch / 512 (``paper_100``). The
configuration for Swin-v2 (Liu et al. 2022), which MeSa builds on, compares with a target normalised in
windows of 47 px: ``target_window=47``.

Our choice: any backbone. Convolutional ones get a learned colour in place of hidden pixels (the paper's
section 4.4 does so for a ResNet); the rate rises from 0 and not from 5e-7.
"""

from __future__ import annotations

import math
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
from geopretrain.networks.masking import (
    MaskedEncoder,
    PixelHead,
    hidden_count,
    random_masks,
    spread_cells,
)
from geopretrain.schema import Count, Natural, Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.painting import check_hidden
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step

PAPER = Preset(
    size=(192, 192),
    batch_size=2048,
    lr=1e-4,
    lr_batch=512,
    schedule="late_step",
    epochs=800,
    warmup_fraction=10 / 800,
    optimizer="adamw",
    weight_decay=0.05,
    clip_norm=5.0,
)
"""Section 4.1.1 and the released configuration for 800 epochs."""
PAPER_100 = Preset(
    size=(192, 192),
    batch_size=2048,
    lr=2e-4,
    lr_batch=512,
    schedule="cosine",
    epochs=100,
    warmup_fraction=10 / 100,
    optimizer="adamw",
    weight_decay=0.05,
    clip_norm=5.0,
)
"""The released configuration for 100 epochs."""


@checked
class SimMIMConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model; the paper's are Swin and ViT."""
    cell: Count = 32
    """Side of what is hidden together, px."""
    hidden: Unit = 0.6
    """Fraction of the cells that is hidden, rounded up."""
    target_window: Natural = 0
    """Side, px and odd, of the window that the target is normalised in; 0 = none (47: Swin-v2)."""
    min_scale: Unit = 0.67
    """Least area of the window of the image that is shown, as a fraction."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""

    def __post_init__(self) -> None:
        require(0 < self.hidden < 1, "hidden", "between 0 and 1", self.hidden)
        require(self.min_scale > 0, "min_scale", "above 0", self.min_scale)
        odd = self.target_window == 0 or self.target_window % 2 == 1
        require(odd, "target_window", "0 or odd", self.target_window)


class SimMIM(Task):
    """The method as a task: ``encoder`` and ``head``.

    Args:
        config: options of the method.
        backbone: initialised.
    """

    name: ClassVar[str] = "simmim"
    Config = SimMIMConfig

    def __init__(self, config: SimMIMConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: SimMIMConfig = config
        self.encoder = MaskedEncoder(backbone)
        self.head = PixelHead(backbone.channels[-1], backbone.last_stride)
        self.cell = _whole_cell(config.cell, self.encoder.smallest_cell)

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "encoder.backbone.model.", "mask.": "encoder.mask.", "painter.": "head."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 4.1.1; ``paper_100``: the released shorter schedule."""
        return {"paper": PAPER, "paper_100": PAPER_100, "short": SHORT, "tiny": TINY}

    def check_data(self, data: Description) -> None:
        """Make sure that something is hidden of the images, and something left (ConfigError)."""
        cells = math.prod(self._grid(self.encoder.backbone.whole_size(data.size)))
        check_hidden(cells, hidden_count(cells, self.config.hidden), data.size, "cell=... hidden=...")

    def train_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Cut out a random window and flip."""
        return random_views(batch, scale=(self.config.min_scale, 1.0), flip=self.config.flip)

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Return whole images."""
        return augment_labelled(as_images(batch), flip=0.0)

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the absolute error of the hidden pixels (equation 1).

        Args:
            batch: transformed, ``B 3 H W``.
        """
        images = self.encoder.backbone.whole_patches(batch.images)
        hidden = self.hide(images)
        painted = self.head(self.encoder(images, hidden, self.cell))
        with torch.autocast(images.device.type, enabled=False):
            target, pixels = self.target(images), self._pixels(hidden, images)
            loss = losses.hidden_l1(painted.float(), target, pixels)
            deviation = losses.hidden_l1(_mean_colour(target, pixels), target, pixels)
        return loss, {"hidden_l1": loss.detach(), "baseline_l1": deviation.detach()}

    def hide(self, images: Tensor) -> Tensor:
        """Return random masks of cells ``B h w``, True where hidden, for images of whole patches."""
        grid = self._grid((images.shape[-2], images.shape[-1]))
        return random_masks(len(images), grid, self.config.hidden).to(images.device)

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the cells down and across of an image of whole patches."""
        return math.ceil(size[0] / self.cell), math.ceil(size[1] / self.cell)

    def target(self, images: Tensor) -> Tensor:
        """Return what is painted ``B 3 H W``: the images as the encoder sees them, perhaps normalised."""
        seen = self.encoder.backbone.normalise(images)
        window = self.config.target_window
        return losses.normalised_in_windows(seen, window) if window else seen

    def _pixels(self, hidden: Tensor, images: Tensor) -> Tensor:
        return spread_cells(hidden, (images.shape[-2], images.shape[-1]), self.cell)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: the image, what is left of it, and the hidden cells painted."""
        images = self.encoder.backbone.whole_patches(self.eval_transform(batch).images)
        hidden = self.hide(images)
        painted = self.head(self.encoder(images, hidden, self.cell)).float()
        if not self.config.target_window:  # else the absolute colours are not painted
            painted = self.encoder.backbone.unnormalise(painted)
        else:
            painted = 0.5 + 0.2 * painted
        pixels = self._pixels(hidden, images)
        return pictures.image_rows(
            {
                "image": images,
                "what is left": torch.where(pixels, 0.5, images),
                "painted": torch.where(pixels, painted, images),
            }
        )

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        error, baseline = logs.get("hidden_l1", 0.0), logs.get("baseline_l1", 1.0)
        if step >= SETTLED_AFTER and error > 0.98 * baseline:
            return [
                f"Hidden cells are painted no better (error {error:.3f}) than with the mean of what is left "
                f"({baseline:.3f}): nothing is learned yet. Raise the learning rate, or train longer."
            ]
        return []


def _whole_cell(cell: int, patch: int) -> int:
    """Return the nearest multiple of the patch, at least one; the paper's 32 px are none of 14 px."""
    return max(1, round(cell / patch)) * patch


def _mean_colour(target: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean ``B C 1 1`` of what is not hidden of each image, spread over it."""
    left = ~hidden
    return (
        (target * left).sum((2, 3), keepdim=True) / left.sum((2, 3), keepdim=True).clamp(min=1)
    ).expand_as(target)
