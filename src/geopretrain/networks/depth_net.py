"""Depth from a single image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geopretrain.networks.backbone import Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder, Upsampling


class DepthNet(nn.Module):
    """Backbone and multi-scale decoder; sigmoid disparities.

    Args:
        backbone: the encoder.
        scales: scales with an output, 0 being the size of the image.
        upsampling: see `MultiscaleDecoder`.
    """

    def __init__(
        self, backbone: Backbone, scales: Sequence[int] = (0, 1, 2, 3), upsampling: Upsampling = "nearest"
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = MultiscaleDecoder(backbone.channels, backbone.strides, 1, scales, upsampling)

    def start_at(self, sigmoid: float) -> None:
        """Let new output layers begin at this disparity, between 0 and 1, everywhere."""
        for name, values in self.decoder.heads.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(values, math.log(sigmoid / (1 - sigmoid)))

    def forward(self, images: Tensor, scales: Sequence[int] | None = None) -> list[Tensor]:
        """Map images ``B 3 H W`` in [0, 1] to disparities ``B 1 H/2**s W/2**s`` in (0, 1), finest first.

        Sides that are no whole numbers are rounded up.
        """
        return self.decode(self.backbone(images), scales, images.shape[-2:])

    def decode(
        self,
        features: Sequence[Tensor],
        scales: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Map the backbone's features to disparities, as calling the network does with images.

        Args:
            features: finest first.
            scales: those wanted; None: all.
            size: (H, W) of the images; None: what the coarsest features cover.
        """
        return [torch.sigmoid(logits) for logits in self.decoder(features, scales, size)]
