"""Camera motion between two images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.networks.backbone import DEFAULT_MEAN, DEFAULT_STD, Backbone

#: Scale of the network's output; keeps the first poses of training small (Godard et al. 2019, released code).
POSE_SCALE = 0.01


class PoseDecoder(nn.Module):
    """Squeeze to 256 channels, two 3x3 convolutions, six numbers averaged over the image."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, 256, 1)
        self.conv1 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 256, 3, padding=1)
        self.out = nn.Conv2d(256, 6, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map the deepest features ``B C h w`` to ``B 6``: axis-angle (rad), translation (units of depth)."""
        for layer in (self.squeeze, self.conv1, self.conv2):
            features = F.relu(layer(features), inplace=True)
        # The mean of a 1x1 convolution is the 1x1 convolution of the mean; outside autocast, because bf16 has
        # too few digits for a camera pose.
        with torch.autocast(features.device.type, enabled=False):
            mean = features.mean((2, 3), dtype=self.out.weight.dtype)
            return POSE_SCALE * F.linear(mean, self.out.weight.flatten(1), self.out.bias)


class PoseNet(nn.Module):
    """A backbone over two stacked images and the pose decoder (Godard et al. 2019, section 3.1).

    The released network predicts a second transform that is never used in training on pairs; ours has one.
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
        self.decoder = PoseDecoder(self.backbone.channels[-1])

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return axis-angle ``B 3`` (rad) and translation ``B 3`` of the motion from ``first`` to ``second``.

        Both images are ``B 3 H W`` in [0, 1] and must be given in the order in which they were taken.
        """
        pose = self.decoder(self.backbone(torch.cat([first, second], 1))[-1])
        return pose[:, :3], pose[:, 3:]
