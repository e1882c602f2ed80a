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
    """Squeeze to 256 channels, two 3x3 convolutions, a few numbers averaged over the image.

    Args:
        in_channels: channels of the deepest features.
        out_channels: how many numbers; six are axis-angle (rad) and translation (units of depth).
        scale: factor on the numbers.
    """

    def __init__(self, in_channels: int, out_channels: int = 6, scale: float = POSE_SCALE) -> None:
        super().__init__()
        self.scale = scale
        self.squeeze = nn.Conv2d(in_channels, 256, 1)
        self.conv1 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 256, 3, padding=1)
        self.out = nn.Conv2d(256, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map the deepest features ``B C h w`` to ``B out_channels``."""
        for layer in (self.squeeze, self.conv1, self.conv2):
            features = F.relu(layer(features), inplace=True)
        # The mean of a 1x1 convolution is the 1x1 convolution of the mean; outside autocast, because bf16 has
        # too few digits for a camera pose.
        with torch.autocast(features.device.type, enabled=False):
            mean = features.mean((2, 3), dtype=self.out.weight.dtype)
            return self.scale * F.linear(mean, self.out.weight.flatten(1), self.out.bias)


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

    def features(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the deepest features ``B C h w`` of two images ``B 3 H W``."""
        return self.backbone(torch.cat([first, second], 1))[-1]

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return axis-angle ``B 3`` (rad) and translation ``B 3`` of the motion from ``first`` to ``second``.

        Both images are ``B 3 H W`` in [0, 1] and must be given in the order in which they were taken.
        """
        return self.motion(self.features(first, second))

    def motion(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return axis-angle and translation from what `features` gave."""
        pose = self.decoder(features)
        return pose[:, :3], pose[:, 3:]


class SharedPoseNet(nn.Module):
    """The pose decoder over the depth encoder's features of two images (Lao et al., released code).

    Spares the pose network's own encoder, more than half of a step's arithmetic.

    Args:
        channels: channels of the depth encoder's deepest level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.decoder = PoseDecoder(2 * channels)

    def features(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the features ``B 2C h w`` of a pair, each frame's being ``B C h w``."""
        return torch.cat([first, second], 1)

    def motion(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return axis-angle ``B 3`` (rad) and translation ``B 3`` from what `features` gave."""
        pose = self.decoder(features)
        return pose[:, :3], pose[:, 3:]
