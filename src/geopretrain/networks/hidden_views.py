"""The features of an image of which much is hidden, whatever the backbone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from geopretrain.networks.backbone import Backbone
from geopretrain.networks.masking import (
    MaskedEncoder,
    hidden_count,
    random_masks,
    spread_cells,
    visible_count,
)
from geopretrain.networks.visible_tokens import VisibleTokens, is_plain, random_order

CELL = 32
"""Side, px, of what is hidden together from a backbone that needs whole images."""


class HiddenViews(nn.Module):
    """A backbone that sees a part of an image: plain transformers compute on nothing else.

    Args:
        backbone: the encoder.

    Attributes:
        plain: whether it is a plain transformer.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.plain = is_plain(backbone)
        self.encoder = VisibleTokens(backbone) if self.plain else MaskedEncoder(backbone)

    @property
    def backbone(self) -> Backbone:
        """The encoder itself."""
        return self.encoder.backbone

    def whole(self, images: Tensor) -> Tensor:
        """Return the features ``B N C`` of whole images ``B 3 H W``, row by row."""
        if isinstance(self.encoder, VisibleTokens):
            return self.encoder(images, None)
        return _rows(self.backbone.last(images))

    def forward(self, images: Tensor, fraction: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return features ``B n C``, their places ``B n``, and ``B N``, 1 where the image is hidden.

        Args:
            images: ``B 3 H W`` in [0, 1], of a size that `Backbone.whole_patches` returns.
            fraction: of the image that is hidden, at random.
        """
        stride = self.backbone.last_stride
        grid = (images.shape[-2] // stride, images.shape[-1] // stride)
        if not isinstance(self.encoder, VisibleTokens):
            return self._with_token(images, fraction, grid)
        order = random_order(len(images), grid).to(images.device)
        places = order[:, : visible_count(order.shape[1], fraction)]
        hidden = torch.ones(order.shape, device=images.device).scatter_(1, places, 0.0)
        return self.encoder(images, places), places, hidden

    def _with_token(
        self, images: Tensor, fraction: float, grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        stride, cell, cells = self.backbone.last_stride, self._cell, self._cells(grid)
        masks = random_masks(len(images), cells, fraction).to(images.device)
        features = _rows(self.encoder(images, masks, cell * stride))
        places = torch.arange(features.shape[1], device=images.device).expand(len(images), -1)
        return features, places, spread_cells(masks, grid, cell).flatten(1).float()

    @property
    def _cell(self) -> int:
        """Side, in features, of what is hidden together."""
        return max(1, round(CELL / self.backbone.last_stride))

    def _cells(self, grid: tuple[int, int]) -> tuple[int, int]:
        return math.ceil(grid[0] / self._cell), math.ceil(grid[1] / self._cell)

    def parts(self, size: tuple[int, int], fraction: float) -> tuple[int, int]:
        """Return into how many parts images of ``size`` (h, w) are cut, and how many of them are hidden."""
        height, width = (side // self.backbone.last_stride for side in self.backbone.whole_size(size))
        if self.plain:
            return height * width, height * width - visible_count(height * width, fraction)
        count = math.prod(self._cells((height, width)))
        return count, hidden_count(count, fraction)


def _rows(features: Tensor) -> Tensor:
    """Return ``B C h w`` as ``B h*w C``."""
    return features.flatten(2).transpose(1, 2)
