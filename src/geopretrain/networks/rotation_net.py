"""Rotation between two images of a hand-held camera."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.networks.backbone import DEFAULT_MEAN, DEFAULT_STD, Backbone
from geopretrain.networks.pose_net import PoseDecoder


class RotationNet(nn.Module):
    """The rectification network of SC-Depth V2: two stacked images at half the size, three angles.

    Bian et al., *Auto-Rectify Network for Unsupervised Indoor Depth Estimation*; half size and the missing
    factor of 0.01 are those of the released code.
    """

    def __init__(
        self,
        backbone_name: str,
        pretrained: bool = False,
        mean: Sequence[float] = DEFAULT_MEAN,
        std: Sequence[float] = DEFAULT_STD,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone_name, pretrained, in_images=2, mean=mean, std=std)
        self.decoder = PoseDecoder(self.backbone.channels[-1], out_channels=3, scale=1.0)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return Euler angles ``B 3`` (rad, x y z) from ``first`` to ``second``, both ``B 3 H W`` in [0, 1].

        They turn directions of the first camera into those of the second.
        """
        pair = torch.cat([first, second], 1)
        size = [side // 2 for side in pair.shape[-2:]]
        half = F.interpolate(pair, size, mode="bilinear", align_corners=True)
        return self.decoder(self.backbone(half, any_size=True)[-1])
