"""A pre-training method of one's own in one file: paint the patches of an image that were hidden.

Masked auto-encoding after Xie et al., *SimMIM*, CVPR 2022: hidden patches, a linear head, the absolute
error where something was hidden. A toy: a hidden patch is grey, not a learned token. The ordinary command
trains it:

    python examples/masked_autoencoding.py --data drive.mp4 --out runs/masked --settings hidden=0.5
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from geopretrain import cli, pictures
from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.batches import ClipBatch, LabelledBatch, as_images
from geopretrain.networks import Backbone
from geopretrain.schema import Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.registry import PRETEXTS
from geopretrain.tasks.step import Step
from geopretrain.weights import Init, LoadReport, init_backbone


@checked
class MaskedConfig:
    """Options of the method."""

    backbone: str = "resnet18"
    """Encoder: any timm model."""
    hidden: Unit = 0.6
    """Fraction of the patches that is hidden."""


class MaskedAutoEncoding(Task):
    """An encoder, and a head that paints each patch from the encoder's last features."""

    name = "masked"
    Config = MaskedConfig

    def __init__(self, config: MaskedConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config, self.encoder, self.patch = config, backbone, backbone.strides[-1]
        painter = nn.Conv2d(backbone.channels[-1], 3 * self.patch**2, kernel_size=1)
        self.head = nn.Sequential(painter, nn.PixelShuffle(self.patch))

    @classmethod
    def create(cls, config: MaskedConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task with the encoder's first weights."""
        backbone, report = init_backbone(config.backbone, init)
        return cls(config, backbone), report

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """What is saved under which name; ``backbone.`` is what a run hands on."""
        return {"backbone.": "encoder.model.", "head.": "head."}

    def train_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Mirror half of the images; clips give their target frames."""
        return augment_labelled(as_images(batch), flip=0.5)

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> LabelledBatch:
        """Return the images as they are."""
        return augment_labelled(as_images(batch), flip=0.0)

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the mean absolute error of the hidden pixels (SimMIM, section 3.4)."""
        images = batch.images
        hidden = self.hide(images)
        error = (self.paint(images, hidden) - images).abs()
        return (error * hidden).sum() / (3 * hidden.sum()).clamp(min=1), {"hidden": hidden.mean()}

    def hide(self, images: Tensor) -> Tensor:
        """Return ``B 1 H W``, 1 where a patch is hidden."""
        height, width = (side // self.patch for side in images.shape[-2:])
        hidden = torch.rand(len(images), 1, height, width, device=images.device) < self.config.hidden
        return nn.functional.interpolate(hidden.float(), scale_factor=self.patch)

    def paint(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Return images ``B 3 H W`` made from what is not hidden."""
        return self.head(self.encoder(torch.where(hidden > 0, 0.5, images))[-1])

    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, np.ndarray]:
        """Show each image and what is painted of it."""
        images = self.eval_transform(batch).images
        painted = self.paint(images, self.hide(images))
        pairs = {"image": images, "painted": painted}
        return pictures.rows({name: [pictures.image(x.cpu().numpy()) for x in pairs[name]] for name in pairs})


PRETEXTS["masked"] = "masked_autoencoding:MaskedAutoEncoding"  # in the project: a line of tasks/registry.py

if __name__ == "__main__":
    sys.exit(cli.main(["pretrain", "masked", *sys.argv[1:]]))
