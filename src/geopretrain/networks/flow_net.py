"""Optical flow between two images: from structure and motion kept apart, or from the features of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.errors import ConfigError
from geopretrain.networks.backbone import DEFAULT_MEAN, DEFAULT_STD, Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder
from geopretrain.networks.pose_net import PoseDecoder

#: Factor on the difference between the frames where the motion encoder is shown it: differences are small.
DIFFERENCE_GAIN = 2.0
#: Length of the motion code (Wang et al., section III-A).
CODE_SIZE = 128


class MotionEncoder(nn.Module):
    """A backbone over two stacked images and a bottleneck down to a few numbers (Wang et al., section III-A).

    The bottleneck is that of Monodepth2's pose decoder, which the paper names as its model: 1x1 and two 3x3
    convolutions of 256 channels, a linear map, and the mean over the image. Each number of the code is then
    standardised over the batch (running statistics in evaluation), because pairs differ by some thousandths
    at first, which a decoder overlooks beside its other features. No bound.

    Args:
        backbone_name: any timm model.
        pretrained: take ImageNet weights.
        code_size: numbers in the code.
        difference: show the second image as its difference from the first. The first convolution could form
            it itself, but what moves is then small beside what is seen, and the code is long ignored.
        mean: normalisation of an image, per channel.
        std: see ``mean``.
    """

    def __init__(
        self,
        backbone_name: str,
        pretrained: bool = False,
        code_size: int = CODE_SIZE,
        difference: bool = True,
        mean: Sequence[float] = DEFAULT_MEAN,
        std: Sequence[float] = DEFAULT_STD,
    ) -> None:
        super().__init__()
        self.code_size = code_size
        self.difference = difference
        self.backbone = Backbone(backbone_name, pretrained, in_images=2, mean=mean, std=std)
        self.decoder = PoseDecoder(self.backbone.channels[-1], out_channels=code_size, scale=1.0)
        self.norm = nn.BatchNorm1d(code_size, affine=False)

    def forward(self, target: Tensor, source: Tensor) -> Tensor:
        """Map two images ``B 3 H W`` in [0, 1] to the code ``B code_size`` of the motion between them."""
        if self.difference:
            source = self.backbone.mean[:, 3:] + DIFFERENCE_GAIN * (source - target)
        code = self.decoder(self.backbone(torch.cat([target, source], 1))[-1])
        # a single pair has no spread to standardise by
        batch_statistics = self.training and len(code) > 1
        return F.batch_norm(code, self.norm.running_mean, self.norm.running_var, training=batch_statistics)


class ConditionalFlowNet(nn.Module):
    """Flow from the structure of one image and a motion code (Wang et al., figure 2).

    Args:
        backbone: the structure encoder.
        motion: the motion encoder.
        scales: scales with an output, 0 being the size of the image.
        motion_levels: number of the structure encoder's levels, counted from the deepest, that the code is
            joined to.

    Raises:
        ConfigError: the backbone has fewer levels than ``motion_levels``.
    """

    def __init__(
        self,
        backbone: Backbone,
        motion: MotionEncoder,
        scales: Sequence[int] = (0, 1, 2, 3),
        motion_levels: int = 1,
    ) -> None:
        super().__init__()
        levels = len(backbone.channels)
        if not 1 <= motion_levels <= levels:
            raise ConfigError(
                f"motion_levels must be 1 to {levels}, the levels of {backbone.name}, not {motion_levels}."
            )
        self.backbone = backbone
        self.motion = motion
        self.first_level = levels - motion_levels
        channels = [
            count + motion.code_size * (level >= self.first_level)
            for level, count in enumerate(backbone.channels)
        ]
        self.decoder = MultiscaleDecoder(channels, backbone.strides, 2, scales)

    def forward(self, target: Tensor, source: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the decoder's outputs ``N*B 2 H/2**s W/2**s``, finest first, and codes ``N*B code_size``.

        Args:
            target: ``B 3 H W`` in [0, 1], the only image the structure is taken from.
            source: ``N*B 3 H W`` in [0, 1], neighbour after neighbour.
        """
        pairs = len(source) // len(target)
        code = self.motion(target.repeat(pairs, 1, 1, 1), source)
        return self.decode(self.backbone(target), code, target.shape[-2:]), code

    def decode(
        self, structure: Sequence[Tensor], code: Tensor, size: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Return the outputs for features of B images and the motion codes ``N*B code_size`` of any pairs.

        Args:
            structure: features of the images.
            code: of the motion.
            size: (height, width) of the images, px; None: what the coarsest features cover.
        """
        features = []
        pairs = code.shape[0]  # not its len(), which an export cannot leave open
        for level, f in enumerate(structure):
            f = f if f.shape[0] == pairs else f.repeat(pairs // f.shape[0], 1, 1, 1)
            if level >= self.first_level:
                spread = code.to(f.dtype)[:, :, None, None].expand(-1, -1, *f.shape[-2:])
                f = torch.cat([f, spread], 1)
            features.append(f)
        outputs: list[Tensor] = self.decoder(features, size=size)
        return outputs


class SiameseFlowNet(nn.Module):
    """Flow from the features of both images, found by one encoder (Lao et al., supplement B.3).

    Args:
        backbone: the encoder of either image.
        scales: scales with an output, 0 being the size of the image.
    """

    def __init__(self, backbone: Backbone, scales: Sequence[int] = (0, 1, 2, 3)) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = MultiscaleDecoder([2 * c for c in backbone.channels], backbone.strides, 2, scales)

    def forward(self, target: Tensor, source: Tensor) -> list[Tensor]:
        """Return outputs ``B 2 H/2**s W/2**s``, finest first, for images ``B 3 H W`` in [0, 1].

        Both images go through the encoder as one batch.
        """
        features = self.backbone(torch.cat([target, source]))
        pairs = [torch.cat(f.chunk(2), 1) for f in features]
        outputs: list[Tensor] = self.decoder(pairs, size=target.shape[-2:])
        return outputs
