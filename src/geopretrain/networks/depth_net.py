"""Depth from a single image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geopretrain.networks.backbone import Backbone
from geopretrain.networks.depth_decoder import MultiscaleDecoder


class DepthNet(nn.Module):
    """Backbone and multi-scale decoder; sigmoid disparities.

    Args:
        backbone: the encoder.
        scales: scales with an output, 0 being the size of the image.
    """

    def __init__(self, backbone: Backbone, scales: Sequence[int] = (0, 1, 2, 3)) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = MultiscaleDecoder(backbone.channels, backbone.strides, 1, scales)

    def forward(self, images: Tensor, scales: Sequence[int] | None = None) -> list[Tensor]:
        """Map images ``B 3 H W`` in [0, 1] to disparities ``B 1 H/2**s W/2**s`` in (0, 1), finest first."""
        return [torch.sigmoid(logits) for logits in self.decoder(self.backbone(images), scales)]
