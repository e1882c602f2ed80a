"""Hiding cells of an image from an encoder, and painting an image from features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.layers import Format, PatchEmbed
from torch import Tensor, nn

from geopretrain.networks.backbone import Backbone


def hidden_count(cells: int, fraction: float) -> int:
    """Return how many of ``cells`` are hidden: the fraction rounded up (Xie et al. 2022, released code)."""
    return math.ceil(cells * fraction)


def visible_count(patches: int, fraction: float) -> int:
    """Return how many of ``patches`` stay visible: rounded down, at least one (He et al. 2022)."""
    return max(1, int(patches * (1 - fraction)))


def hide_first(order: Tensor, grid: tuple[int, int], fraction: float) -> Tensor:
    """Return masks ``B h w``, True where a cell is hidden.

    Args:
        order: ``B h*w`` int64, a permutation of the cells (row by row) for each image; the first are hidden.
        grid: (h, w), cells down and across.
        fraction: of the cells that is hidden, see `hidden_count`.
    """
    hidden = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    hidden.scatter_(1, order[:, : hidden_count(order.shape[1], fraction)], True)
    return hidden.view(-1, *grid)


def random_masks(count: int, grid: tuple[int, int], fraction: float) -> Tensor:
    """Return ``count`` random masks ``B h w``, each hiding equally many cells, from torch's CPU generator."""
    return hide_first(torch.rand(count, math.prod(grid)).argsort(1), grid, fraction)


def spread_cells(hidden: Tensor, size: tuple[int, int], cell: int) -> Tensor:
    """Return cells ``B h w`` as ``B 1 H W``, each ``cell`` wide and high, cut off at ``size`` (H, W)."""
    whole = hidden.repeat_interleave(cell, 1).repeat_interleave(cell, 2)
    return whole[:, None, : size[0], : size[1]]


class MaskToken(nn.Module):
    """The learned embedding, ``channels`` numbers, that stands for whatever is hidden."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels), std=0.02))


class MaskedEncoder(nn.Module):
    """A backbone, and what it gets in place of what is hidden (Xie et al., *SimMIM*, CVPR 2022, 3.1).

    Transformers that embed patches (ViT, Swin) get a learned embedding in place of the embeddings of hidden
    patches. Other backbones get a learned colour in place of hidden pixels.

    Args:
        backbone: the encoder.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        embedding = backbone.patch_embedding
        self.mask = MaskToken(3 if embedding is None else embedding.proj.out_channels)

    @property
    def smallest_cell(self) -> int:
        """Side of the smallest part that can be hidden on its own, px."""
        embedding = self.backbone.patch_embedding
        return 1 if embedding is None else int(embedding.patch_size[0])

    def forward(self, images: Tensor, hidden: Tensor, cell: int) -> Tensor:
        """Return the last features ``B C h w`` of images of which cells are hidden.

        Args:
            images: ``B 3 H W`` in [0, 1], of a size that `Backbone.whole_patches` returns.
            hidden: ``B h w`` bool, True where a cell is hidden.
            cell: side of a cell, px; a multiple of ``smallest_cell``.
        """
        embedding = self.backbone.patch_embedding
        if embedding is None:
            pixels = spread_cells(hidden, (images.shape[-2], images.shape[-1]), cell)
            colour = self.backbone.unnormalise(self.mask.token.view(1, 3, 1, 1))
            return self.backbone.last(torch.where(pixels, colour.to(images.dtype), images))
        patches = cell // self.smallest_cell
        size = (images.shape[-2] // self.smallest_cell, images.shape[-1] // self.smallest_cell)
        with _replacing(embedding, spread_cells(hidden, size, patches), self.mask.token):
            return self.backbone.last(images)


@contextmanager
def _replacing(embedding: PatchEmbed, where: Tensor, token: Tensor) -> Iterator[None]:
    """Replace embeddings ``where`` (``B 1 h w``) while the backbone computes; nothing of it is changed."""

    def replaced(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        chosen = _like_embeddings(where, embedding)
        return torch.where(chosen, _token_of(token, embedding, embedded), embedded)

    handle = embedding.register_forward_hook(replaced)
    try:
        yield
    finally:
        handle.remove()


def _like_embeddings(where: Tensor, embedding: PatchEmbed) -> Tensor:
    """Return ``B 1 h w`` in the layout of the embeddings: ``B N 1``, ``B 1 h w`` or ``B h w 1``."""
    if embedding.flatten:
        return where.flatten(2).transpose(1, 2)
    return where if embedding.output_fmt == Format.NCHW else where[:, 0, :, :, None]


def _token_of(token: Tensor, embedding: PatchEmbed, like: Tensor) -> Tensor:
    channels_first = not embedding.flatten and embedding.output_fmt == Format.NCHW
    return token.to(like.dtype).view(*((-1, 1, 1) if channels_first else (-1,)))


class PixelHead(nn.Sequential):
    """A linear layer from each feature to the ``stride`` x ``stride`` pixels it stands for (SimMIM, 3.3).

    Args:
        channels: of the features ``B C h w``.
        stride: px between two features.
        outputs: channels of the image ``B outputs h*stride w*stride`` that comes out.
    """

    def __init__(self, channels: int, stride: int, outputs: int = 3) -> None:
        super().__init__(nn.Conv2d(channels, outputs * stride**2, kernel_size=1), nn.PixelShuffle(stride))
