"""Inpainting: holes are cut into an image, and encoder and decoder restore the whole of it.

The rival called "reconstruction (MAE)" of Lao, Wu, Wong et al., *On the Viability of Monocular Depth
Pre-training for Semantic Segmentation*, ECCV 2024, section 4.1 and Table 4, after Pathak et al., *Context
Encoders*, CVPR 2016. It is no masked auto-encoder: a convolutional network sees the whole picture, holes and
all.

From the paper: rectangular regions at random places (``holes=rectangles``; how many and how large it does not
say: eight of 1 to 6 % of the area are our choice).

From the released code (``holes=squares``): 0.1 to 1 % of the pixels, drawn for each image, are the middles of
black squares of 7 x 7 px, which hides 5 to 39 %; colours from a sigmoid; the absolute error of the whole
image, not only of the holes; four scales; 1e-4 for 25 epochs, 5e-5 for 25 more, batches of 8.

Not from the released code: its weights of the scales are reversed, 1/64 for the finest and 1 for the
coarsest. Here they are 1/4**s; ``as_released`` has theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain import pictures
from geopretrain.data.augment.batches import augment_labelled, pyramid
from geopretrain.data.augment.windows import random_windows
from geopretrain.data.batches import ClipBatch, LabelledBatch, as_images
from geopretrain.errors import one_of, require
from geopretrain.networks import Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder
from geopretrain.schema import Count, Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step

PAPER = Preset(size=(192, 640), batch_size=8, lr=1e-4, schedule="halve", epochs=50)
"""The released script."""
HOLE = 7
"""Side of a square hole, px."""
MIDDLES = (0.001, 0.01)
"""Least and largest fraction of the pixels that is the middle of a square hole."""
RECTANGLE = (0.01, 0.06)
"""Least and largest area of a rectangular hole, as a fraction of the image."""

MAX_RECTANGLES = 64
"""More of them hide nine tenths of an image, and then all of it."""


@checked
class InpaintingConfig:
    """Options of the method.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model (the paper's is a ResNet-50)."""
    holes: str = "squares"
    """``squares`` of 7 px (released code) or ``rectangles`` (paper)."""
    rectangles: Count = 8
    """Rectangular holes in an image."""
    over: str = "image"
    """What the error is a mean over: the whole ``image`` (released code) or the ``holes``."""
    scales: Count = 4
    """Number of scales with a loss, 1 to 4."""
    as_released: bool = False
    """Weigh the scales as the released code does: the coarsest most."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""

    def __post_init__(self) -> None:
        one_of("holes", self.holes, ("squares", "rectangles"))
        one_of("over", self.over, ("image", "holes"))
        require(self.rectangles <= MAX_RECTANGLES, "rectangles", f"at most {MAX_RECTANGLES}", self.rectangles)
        require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)


def square_holes(count: int, size: tuple[int, int]) -> Tensor:
    """Return ``B 1 H W`` bool, True in square holes around random pixels."""
    fraction = MIDDLES[0] + (MIDDLES[1] - MIDDLES[0]) * torch.rand(count, 1, 1, 1)
    middles = (torch.rand(count, 1, *size) < fraction).float()
    return functional.max_pool2d(middles, HOLE, stride=1, padding=HOLE // 2) > 0


def rectangular_holes(count: int, size: tuple[int, int], rectangles: int) -> Tensor:
    """Return ``B 1 H W`` bool, True in this many rectangles at random places."""
    left, top, right, bottom = random_windows(count * rectangles, RECTANGLE, (1 / 2, 2)).unbind(1)
    y, x = (torch.arange(side) + 0.5 for side in size)
    rows = (y >= top[:, None] * size[0]) & (y < bottom[:, None] * size[0])
    columns = (x >= left[:, None] * size[1]) & (x < right[:, None] * size[1])
    inside = rows[:, :, None] & columns[:, None, :]
    return inside.view(count, rectangles, *size).any(1, keepdim=True)


class Inpainting(Task):
    """The method as a task: ``encoder``, ``decoder``, their loss and their pictures.

    Args:
        config: options of the method.
        backbone: initialised.
    """

    name: ClassVar[str] = "inpainting"
    Config = InpaintingConfig

    def __init__(self, config: InpaintingConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: InpaintingConfig = config
        self.encoder = backbone
        self.decoder = MultiscaleDecoder(backbone.channels, backbone.strides, 3, range(config.scales))

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "encoder.model.", "decoder.": "decoder."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: the released script."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def train_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Flip."""
        return augment_labelled(as_images(batch), self.config.flip)

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Return the images as floats."""
        return augment_labelled(as_images(batch), 0.0)

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the weighted mean of the scales' absolute errors.

        Args:
            batch: transformed, ``B 3 H W``.
        """
        images = batch.images
        holes = self.cut(images)
        restored = self.restore(images, holes)
        with torch.autocast(images.device.type, enabled=False):
            targets, inside = pyramid(images, len(restored)), pyramid(holes.float(), len(restored))
            errors = [
                _mean_error(r.float(), t, h if self.config.over == "holes" else None)
                for r, t, h in zip(restored, targets, inside, strict=True)
            ]
            loss = (torch.stack(errors) * self._weights(errors)).sum()
            in_holes = _mean_error(restored[0].detach().float(), images, holes.float())
        return loss, {"hole_l1": in_holes, "hole_fraction": holes.float().mean()}

    def _weights(self, errors: Sequence[Tensor]) -> Tensor:
        """Return one weight for each scale, finest first; they sum to 1 unless ``as_released``."""
        scales = torch.arange(len(errors), device=errors[0].device)
        if self.config.as_released:
            return 0.25 ** (3.0 - scales)
        weights = 0.25**scales
        return weights / weights.sum()

    def cut(self, images: Tensor) -> Tensor:
        """Return random holes ``B 1 H W`` for images, drawn on the CPU."""
        size = (images.shape[-2], images.shape[-1])
        if self.config.holes == "squares":
            return square_holes(len(images), size).to(images.device)
        return rectangular_holes(len(images), size, self.config.rectangles).to(images.device)

    def restore(self, images: Tensor, holes: Tensor, scales: Sequence[int] | None = None) -> list[Tensor]:
        """Return images ``B 3 H/2**s W/2**s`` in (0, 1) made from what is outside the holes, finest first."""
        features = self.encoder(torch.where(holes, 0, images))
        return [torch.sigmoid(logits) for logits in self.decoder(features, scales, images.shape[-2:])]

    @torch.no_grad()
    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: the image, the image with holes, what is made of it."""
        images = self.eval_transform(batch).images
        holes = self.cut(images)
        restored = self.restore(images, holes, scales=(0,))[0].float()
        return pictures.image_rows(
            {"image": images, "with holes": torch.where(holes, 0, images), "restored": restored}
        )

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        if step >= SETTLED_AFTER and (error := logs.get("hole_l1", 0.0)) > 0.2:
            return [
                f"Holes are restored with an error of {error:.2f} (black to white is 1): nothing is learned "
                "yet. Raise the learning rate, or train longer."
            ]
        return []


def _mean_error(restored: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean absolute error ``B 3 H W``, over all pixels or weighed by ``B 1 H W``."""
    error = (restored - target).abs().mean(1, keepdim=True)
    if weights is None:
        return error.mean()
    return (error * weights).sum() / weights.sum().clamp(min=1)
