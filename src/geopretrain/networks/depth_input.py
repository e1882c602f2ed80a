"""What is near in an image, shown to a network together with the image."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from geopretrain.geometry import disparity_to_inverse_depth
from geopretrain.networks.depth_net import DepthNet

MONODEPTH2 = (0.1, 100.0)
"""Nearest and farthest depth of Monodepth2, and of our methods where nothing else is said."""


class DepthInput(nn.Module):
    """Adds to images what a frozen depth network sees in them, by a 3x3 convolution that begins with zeros.

    To the first layer of the network behind it this is a fourth channel, whose filters are mixtures of those
    of the other three; so that backbones keep their names, shapes and weights, and what was learned before
    is untouched until training finds a use for depth (our form of RGB-D input).

    Args:
        eye: the depth network; it does not change.
        depths: nearest and farthest that it tells.
    """

    def __init__(self, eye: DepthNet, depths: tuple[float, float] = MONODEPTH2) -> None:
        super().__init__()
        self.depths = depths
        self.eye = eye.requires_grad_(False)
        self.paint = nn.Conv2d(1, 3, 3, padding=1, padding_mode="replicate", bias=False)
        nn.init.zeros_(self.paint.weight)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch to training; the depth network stays as it is."""
        super().train(mode)
        self.eye.eval()
        return self

    @torch.no_grad()
    def nearness(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` to the logarithm of inverse depth less its mean of each image, ``B 1 H W``.

        It is the same for depths of any scale.
        """
        near = disparity_to_inverse_depth(self.eye(images, scales=(0,))[0].float(), *self.depths).log()
        return near - near.mean(dim=(-2, -1), keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return images ``B 3 H W`` with their depth in them."""
        painted: Tensor = self.paint(self.nearness(images).to(images.dtype))
        return images + painted
