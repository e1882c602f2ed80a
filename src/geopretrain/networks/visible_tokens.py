"""A plain transformer that computes on some of its tokens only, and a small one that restores the others."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.masking import MaskToken


def random_order(count: int, grid: tuple[int, int]) -> Tensor:
    """Return a random permutation ``B N`` of the patches of each image, from torch's CPU generator."""
    return torch.rand(count, math.prod(grid)).argsort(1)


def is_plain(backbone: Backbone) -> bool:
    """Return whether a backbone is a plain transformer of timm, which can leave patches out."""
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(backbone.model, VisionTransformer)


class VisibleTokens(nn.Module):
    """The encoder of a masked auto-encoder (He et al. 2022, section 3): only visible patches are computed.

    Args:
        backbone: a plain transformer of timm.

    Raises:
        ConfigError: it is something else.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        if not is_plain(backbone):
            raise ConfigError(
                f"'{backbone.name}' computes on whole images; mae needs a plain transformer, which can leave "
                "patches out, e.g. --backbone vit_small_patch16_224. For other backbones use simmim."
            )
        self.backbone = backbone
        self.patch = backbone.last_stride

    def forward(self, images: Tensor, visible: Tensor | None) -> Tensor:
        """Return the features ``B n C`` of the visible patches, after the last norm, in the order given.

        Args:
            images: ``B 3 H W`` in [0, 1], of a size that the patch divides.
            visible: ``B n`` int64, numbers of the patches (row by row) that are computed; None: all.
        """
        model: Any = self.backbone.model
        others = model.num_prefix_tokens  # the class token and registers

        def choose(module: nn.Module, inputs: Any, tokens: Tensor) -> Tensor:
            if visible is None:
                return tokens
            chosen = (visible + others)[:, :, None].expand(-1, -1, tokens.shape[2])
            return torch.cat([tokens[:, :others], tokens.gather(1, chosen)], 1)

        handle = model.patch_drop.register_forward_hook(choose)  # follows the position embedding
        try:
            features: Tensor = model.forward_features(self.backbone.normalise(images))
        finally:
            handle.remove()
        return features[:, others:]


class PatchDecoder(nn.Module):
    """A transformer that gets what is visible, and a token for what is hidden, each at its place.

    Args:
        channels: of the encoder's features.
        outputs: numbers for each patch.
        width: channels inside, a multiple of 4.
        depth: blocks.
        heads: of the attention.
    """

    def __init__(self, channels: int, outputs: int, width: int, depth: int, heads: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.mask = MaskToken(width)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, features: Tensor, visible: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return ``B N outputs`` for all patches of a grid (rows, columns), row by row.

        Args:
            features: ``B n C`` of the visible patches.
            visible: ``B n`` int64, their numbers.
            grid: patches down and across.
        """
        whole = placed(self.embed(features), visible, grid, self.mask.token)
        out: Tensor = self.head(self.norm(self.blocks(_with_places(whole, grid))))
        return out


class CrossViewDecoder(nn.Module):
    """Completes one view from another: self-attention, attention to the other view, MLP (CroCo, section 3.2).

    Args:
        channels: of the encoder's features.
        outputs: numbers for each place.
        width: channels inside, a multiple of 4.
        depth: blocks.
        heads: of the attention.
    """

    def __init__(self, channels: int, outputs: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.mask = MaskToken(width)
        self.blocks = nn.ModuleList(_cross_block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, features: Tensor, places: Tensor, other: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return ``B N outputs`` for all places of a grid (rows, columns), row by row.

        Args:
            features: ``B n C`` of what is visible of the view to be completed.
            places: ``B n`` int64, where.
            other: ``B N C`` of the whole other view.
            grid: places down and across.
        """
        embedded = placed(self.embed(features), places, grid, self.mask.token)
        memory = _with_places(self.embed(other), grid)
        tokens = _with_places(embedded, grid)
        for block in self.blocks:
            tokens = block(tokens, memory)
        out: Tensor = self.head(self.norm(tokens))
        return out


def _cross_block(width: int, heads: int) -> nn.Module:
    return nn.TransformerDecoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )


def placed(features: Tensor, places: Tensor, grid: tuple[int, int], token: Tensor) -> Tensor:
    """Return ``B N C``: features ``B n C`` at their places, the token everywhere else."""
    whole = token.to(features.dtype).expand(len(features), math.prod(grid), -1)
    return whole.scatter(1, places[:, :, None].expand(-1, -1, features.shape[2]), features)


def _with_places(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return tokens ``B N C`` plus sine and cosine of their place in the grid."""
    from timm.layers import build_sincos2d_pos_embed

    places = build_sincos2d_pos_embed(list(grid), dim=tokens.shape[2], device=tokens.device)
    return tokens + places.to(tokens.dtype)
