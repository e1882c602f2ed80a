"""The multi-scale decoder of Monodepth2, for a feature pyramid of any strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.errors import ConfigError, DataError
from geopretrain.networks.decoders.layers import Conv3x3, join_pad, upsample_join_pad
from geopretrain.networks.fitting import ceil, crop
from geopretrain.wording import in_px

#: Channels of the stages working at strides 1, 2, 4, 8, 16 (Godard et al. 2019, supplementary material).
STAGE_CHANNELS = (16, 32, 64, 128, 256)


#: How a stage doubles the size: Monodepth2 repeats pixels, SC-Depth interpolates.
Upsampling = Literal["nearest", "bilinear"]


class UpStage(nn.Module):
    """Convolution, upsampling by two, skip connection, convolution; ELU after both."""

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, upsampling: Upsampling = "nearest"
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.before = Conv3x3(in_channels, out_channels)
        self.after = Conv3x3(out_channels + skip_channels, out_channels)

    def forward(self, features: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Map ``B C h w`` and the skip ``B C' H W`` to ``B C'' H W``; H and W are double, or 1 less."""
        features = F.elu(self.before(features), inplace=True)
        general = torch.compiler.is_exporting() or self.upsampling == "bilinear"
        if general or size != (2 * features.shape[-2], 2 * features.shape[-1]):
            align = {"align_corners": False} if self.upsampling == "bilinear" else {}
            features = F.interpolate(features, scale_factor=2, mode=self.upsampling, **align)
            padded = join_pad(crop(features, size), skip)
        else:
            padded = upsample_join_pad(features, skip)
        return F.elu(self.after.convolve_padded(padded), inplace=True)


class MultiscaleDecoder(nn.Module):
    """Decoder of Godard et al. 2019: channels 256 to 16, one output at each of the finest scales.

    Stage ``i`` produces stride ``2**i``; it takes a skip connection wherever the encoder has a level of
    that stride and simply has none where it has not (stride 2 of Swin and ConvNeXt).

    Args:
        encoder_channels: channels of the encoder's levels, finest first.
        encoder_strides: their strides, powers of two.
        out_channels: channels of every output.
        scales: scales with an output; scale ``s`` has ``1 / 2**s`` of the image's size.
        upsampling: ``nearest``, or ``bilinear`` as in SC-Depth's released code.

    Raises:
        ConfigError: strides are no powers of two, or a scale lies outside the decoder.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_strides: Sequence[int],
        out_channels: int = 1,
        scales: Sequence[int] = (0, 1, 2, 3),
        upsampling: Upsampling = "nearest",
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        skips = _channels_by_exponent(encoder_channels, encoder_strides)
        self.num_stages = max(skips)
        self._skip_index = {exponent: index for index, exponent in enumerate(sorted(skips))}
        stages = []
        channels = skips[self.num_stages]
        for i in reversed(range(self.num_stages)):
            stages.append(UpStage(channels, skips.get(i, 0), stage_channels(i), upsampling))
            channels = stage_channels(i)
        self.stages = nn.ModuleList(reversed(stages))
        self.replace_head(out_channels, scales)

    def replace_head(self, out_channels: int, scales: Sequence[int] = (0,)) -> None:
        """Give the decoder new, randomly initialised output layers at ``scales``."""
        outside = [s for s in scales if not 0 <= s < self.num_stages]
        if outside or not scales:
            raise ConfigError(
                f"Scales {list(scales)} are impossible: this decoder has 0 to {self.num_stages - 1}."
            )
        self.out_channels = out_channels
        self.scales = tuple(sorted(scales))
        self.heads = nn.ModuleDict({str(s): Conv3x3(stage_channels(s), out_channels) for s in self.scales})
        device = next(self.stages.parameters())
        self.heads.to(device.device, device.dtype)

    def forward(
        self,
        features: Sequence[Tensor],
        scales: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Return logits ``B out_channels H/2**s W/2**s``, rounded up, for each scale, finest first.

        Args:
            features: of the encoder, finest first, ``B C H/s W/s`` rounded up.
            scales: those wanted; None: all.
            size: (H, W) of the images; None: what the coarsest features cover.

        Raises:
            DataError: the coarsest level is a single pixel wide or high.
        """
        wanted = self.scales if scales is None else tuple(sorted(scales))
        size = [side << self.num_stages for side in features[-1].shape[-2:]] if size is None else size
        if any(side < 2 for side in features[-1].shape[-2:]):
            raise DataError(
                f"The images are too small, {in_px(size)}: both sides need "
                f"{(1 << self.num_stages) + 1} px or more."
            )
        outputs = {}
        current = features[-1]
        for i in reversed(range(min(wanted), self.num_stages)):
            skip = features[self._skip_index[i]] if i in self._skip_index else None
            current = self.stages[i](current, skip, _at_stride(size, 2**i))
            if i in wanted:
                outputs[i] = self.heads[str(i)](current)
        return [outputs[s] for s in wanted]


def _at_stride(size: Sequence[int], stride: int) -> tuple[int, int]:
    """Return the (height, width) of features at a stride, rounded up."""
    return ceil(size[0], stride), ceil(size[1], stride)


def stage_channels(stage: int) -> int:
    """Channels of the stage that produces stride ``2**stage``."""
    return STAGE_CHANNELS[min(stage, len(STAGE_CHANNELS) - 1)]


def _channels_by_exponent(channels: Sequence[int], strides: Sequence[int]) -> dict[int, int]:
    exponents = [math.log2(stride) for stride in strides]
    if not strides or any(e != int(e) for e in exponents) or max(exponents) < 1:
        raise ConfigError(
            f"The multi-scale decoder needs strides that are powers of two, not {list(strides)}. "
            "Use another backbone."
        )
    return {int(e): c for e, c in zip(exponents, channels, strict=True)}
