"""What stands on a backbone and tells classes: one row a head, most of them of segmentation-models-pytorch.

The decoders are that package's own (https://github.com/qubvel-org/segmentation_models.pytorch, MIT), with its
widths and its first weights; features and weights are those of our backbone. Each head maps what it reads of
the backbone to logits at a size of its own, which `SegmentationNet` resizes to that of the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError
from geopretrain.extras import require_extra
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.fitting import ceil, resize

DEEPLAB_WIDTH = 256
ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
"""Dilations of the pyramid of DeepLab by output stride (Chen et al. 2017, section 4.1)."""
UNET_WIDTHS = (256, 128, 64, 32, 16)
PATCHES_AS = 16
"""Stride that DPT takes the patches of a transformer for, whatever they are: its factors are whole then."""


@dataclass(frozen=True)
class HeadOptions:
    """What a head may be told.

    Attributes:
        num_classes: channels of the logits.
        output_stride: 8 or 16, of the dilated backbone under DeepLab; None: the head's own.
        blocks: last blocks (levels) that a linear layer sees.
    """

    num_classes: int
    output_stride: int | None = None
    blocks: int = 1


class Head(nn.Module):
    """What reads a backbone and maps that to logits.

    Attributes:
        pools: it normalises one value an image over the batch.
    """

    pools = False

    def read(self, backbone: Backbone, images: Tensor) -> Any:
        """Return what `forward` maps to logits, of images ``B 3 H W`` in [0, 1]."""
        raise NotImplementedError


class LinearHead(Head):
    """One 1x1 layer on the last blocks of the backbone, side by side: a linear probe.

    Of plain transformers these are the last blocks after the final norm, of others the last levels, resized
    to the finest of them.
    """

    def __init__(self, backbone: Backbone, options: HeadOptions) -> None:
        super().__init__()
        if options.blocks > backbone.num_blocks:
            raise ConfigError(
                f"{backbone.name} has {backbone.num_blocks} blocks, so a linear layer cannot see the last "
                f"{options.blocks}: blocks must be at most {backbone.num_blocks}."
            )
        self.chosen = range(backbone.num_blocks - options.blocks, backbone.num_blocks)
        level = [0] * backbone.num_blocks if backbone.is_plain_transformer else self.chosen
        channels = sum(backbone.channels[level[i]] for i in range(options.blocks))
        self.layer = nn.Conv2d(channels, options.num_classes, 1)

    def read(self, backbone: Backbone, images: Tensor) -> list[Tensor]:
        """Return the features that the layer sees."""
        return backbone.blocks(images, self.chosen, norm=True)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features, finest first, to logits ``B K h w`` at the size of the first."""
        size = list(features[0].shape[-2:])
        logits: Tensor = self.layer(torch.cat([resize(level, size) for level in features], 1))
        return logits


class PyramidHead(Head):
    """A decoder of segmentation-models-pytorch on the backbone's pyramid.

    Args:
        decoder: takes features at the strides 1, 2, 4, ...; those that the backbone has not are empty.
        layer: gives its output the classes.
        pools: normalises one value an image over the batch.
    """

    def __init__(self, decoder: nn.Module, layer: nn.Module, pools: bool = False) -> None:
        super().__init__()
        self.decoder, self.layer, self.pools = decoder, layer, pools

    def read(self, backbone: Backbone, images: Tensor) -> list[Tensor]:
        """Return features of images whose sides the largest stride divides, a place for each power of two."""
        height, width = images.shape[-2:]
        found = dict(zip(backbone.strides, backbone(images), strict=True))  # of equal strides the last
        at = [2**i for i in range(_exponent(backbone.strides[-1]) + 1)]
        empty = {s: images.new_zeros(len(images), 0, ceil(height, s), ceil(width, s)) for s in at}
        return [images if s == 1 else found.get(s, empty[s]) for s in at]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features to logits ``B K h w``."""
        logits: Tensor = self.layer(self.decoder(list(features)))
        return logits


class TokenHead(Head):
    """The decoder of DPT on blocks of a plain transformer, evenly spread, and their class tokens.

    Ranftl, Bochkovskiy and Koltun, *Vision Transformers for Dense Prediction*, ICCV 2021.
    """

    def __init__(self, decoder: nn.Module, layer: nn.Module, chosen: Sequence[int]) -> None:
        super().__init__()
        self.decoder, self.layer, self.chosen = decoder, layer, tuple(chosen)

    def read(self, backbone: Backbone, images: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Return features on an even number of patches, which can be halved, and tokens."""
        if backbone.has_class_token:
            found: list[Any] = list(backbone.blocks_and_tokens(images, self.chosen))
        else:
            found = [(features, None) for features in backbone.blocks(images, self.chosen)]
        even = [2 * ceil(side, 2) for side in found[0][0].shape[-2:]]
        return [(resize(features, even), tokens) for features, tokens in found]

    def forward(self, features: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
        """Map features and tokens to logits ``B K h w``."""
        maps, tokens = [list(parts) for parts in zip(*features, strict=True)]
        logits: Tensor = self.layer(self.decoder(maps, tokens))
        return logits


class LevelHead(TokenHead):
    """The decoder of DPT on four levels of a pyramid, as on Swin in MiDaS 3.1."""

    def read(self, backbone: Backbone, images: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Return the last four levels."""
        return [(level, None) for level in backbone(images)[-len(self.chosen) :]]


# ---- how each is built
def _linear(backbone: Backbone, options: HeadOptions) -> Head:
    return LinearHead(backbone, options)


def _deeplabv3(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder

    stride = options.output_stride or 8
    backbone.dilate(stride)
    decoder = DeepLabV3Decoder(backbone.channels[-1], DEEPLAB_WIDTH, ATROUS_RATES[stride], False, 0.5)
    return PyramidHead(decoder, _layer(DEEPLAB_WIDTH, options), pools=True)


def _deeplabv3plus(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

    stride = options.output_stride or 16
    backbone.dilate(stride)
    channels = _channels(backbone, "deeplabv3plus", needed=(4, stride))
    decoder = DeepLabV3PlusDecoder(channels, 5, DEEPLAB_WIDTH, ATROUS_RATES[stride], stride, True, 0.5)
    return PyramidHead(decoder, _layer(DEEPLAB_WIDTH, options), pools=True)


def _fpn(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    channels = _channels(backbone, "fpn", needed=_last_four(backbone))
    decoder = FPNDecoder(channels, len(channels) - 1)
    return _initialised(decoder, _layer(decoder.out_channels, options))


def _unet(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    channels = _channels(backbone, "unet")
    steps = len(channels) - 1
    widths = (UNET_WIDTHS[:1] * steps + UNET_WIDTHS)[-steps:]
    return _initialised(UnetDecoder(channels, widths, steps), _layer(widths[-1], options, kernel=3))


def _upernet(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    channels = _channels(backbone, "upernet", needed=_from_four(backbone))
    decoder = UPerNetDecoder(channels, len(channels) - 1, decoder_channels=256)
    return _initialised(decoder, _layer(256, options), pools=True)


def _segformer(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

    channels = _channels(backbone, "segformer", needed=_from_four(backbone))
    return _initialised(SegformerDecoder(channels, len(channels) - 1), _layer(256, options))


def _dpt(backbone: Backbone, options: HeadOptions) -> Head:
    from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead

    if backbone.is_plain_transformer:
        chosen = [backbone.num_blocks * part // 4 - 1 for part in range(1, 5)]
        channels, strides = [backbone.channels[-1]] * 4, [PATCHES_AS] * 4
    else:
        chosen, strides = [0, 1, 2, 3], list(_last_four(backbone))
        channels = _channels(backbone, "dpt", needed=_from_four(backbone))[-4:]
    readout = "cat" if backbone.has_class_token else "ignore"
    decoder = DPTDecoder(channels, strides, backbone.has_class_token, readout)
    layer = DPTSegmentationHead(256, options.num_classes)
    initialize_decoder(decoder)
    initialize_head(layer)
    return (TokenHead if backbone.is_plain_transformer else LevelHead)(decoder, layer, chosen)


def _initialised(decoder: nn.Module, layer: nn.Module, pools: bool = False) -> Head:
    """Return a head with the first weights that segmentation-models-pytorch gives it."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head

    initialize_decoder(decoder)
    initialize_head(layer)
    return PyramidHead(decoder, layer, pools)


def _layer(channels: int, options: HeadOptions, kernel: int = 1) -> nn.Module:
    from segmentation_models_pytorch.base import SegmentationHead

    layer: nn.Module = SegmentationHead(channels, options.num_classes, kernel_size=kernel)
    return layer


def _exponent(stride: int) -> int:
    return round(math.log2(stride))


def _last_four(backbone: Backbone) -> tuple[int, ...]:
    last = backbone.strides[-1]
    return tuple(max(1, last // 2**i) for i in (3, 2, 1, 0))


def _from_four(backbone: Backbone) -> tuple[int, ...]:
    return tuple(2**i for i in range(2, _exponent(backbone.strides[-1]) + 1))


def _channels(backbone: Backbone, head: str, needed: Sequence[int] = ()) -> list[int]:
    """Return channels of the features at the strides 1, 2, 4, ..., 0 where there are none.

    Raises:
        ConfigError: a stride is no power of two, or one that the head needs is missing.
    """
    has = dict(zip(backbone.strides, backbone.channels, strict=True))
    last = backbone.strides[-1]
    if any(2 ** _exponent(stride) != stride for stride in has) or not has.keys() >= set(needed) or last < 8:
        wanted = ", ".join(map(str, needed)) or "that are powers of two"
        raise ConfigError(
            f"head={head} needs features at the strides {wanted}, and {backbone.name} has them at "
            f"{', '.join(map(str, has))}. Use another backbone (ResNet, ConvNeXt, Swin or ViT have "
            "them), or head=linear, which takes any."
        )
    return [3, *(has.get(2**i, 0) for i in range(1, _exponent(last) + 1))]


HEADS: dict[str, Callable[[Backbone, HeadOptions], Head]] = {
    "linear": _linear,
    "deeplabv3": _deeplabv3,  # Chen et al. 2017
    "deeplabv3plus": _deeplabv3plus,  # Chen et al. 2018
    "fpn": _fpn,  # Kirillov et al. 2019
    "unet": _unet,  # Ronneberger et al. 2015
    "upernet": _upernet,  # Xiao et al. 2018
    "segformer": _segformer,  # Xie et al. 2021
    "dpt": _dpt,  # Ranftl et al. 2021
}
"""Heads beside the depth decoder (``depth``), by the names that users give them."""
HeadName = Literal[
    "depth", "linear", "deeplabv3", "deeplabv3plus", "fpn", "unet", "upernet", "segformer", "dpt"
]


def make_head(name: str, backbone: Backbone, options: HeadOptions) -> Head:
    """Return a head, initialised at random.

    Args:
        name: a key of `HEADS`.
        backbone: that it reads; dilated in place where the head wants that.
        options: see `HeadOptions`.

    Raises:
        ConfigError: it does not fit the backbone, or its library is missing.
    """
    if name != "linear":
        require_extra("segmentation_models_pytorch", "heads", f"Heads such as head={name}")
    return HEADS[name](backbone, options)
