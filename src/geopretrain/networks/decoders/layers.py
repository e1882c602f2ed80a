"""Layers shared by the decoders."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Conv3x3(nn.Conv2d):
    """3x3 convolution with reflection padding, size kept (Godard et al. 2019, supplementary material)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``B C H W`` to ``B C' H W``."""
        return self.convolve_padded(join_pad(features))

    def convolve_padded(self, padded: Tensor) -> Tensor:
        """Map features that are padded already, ``B C H+2 W+2``, to ``B C' H W``."""
        return super().forward(padded)


def join_pad(features: Tensor, skip: Tensor | None = None) -> Tensor:
    """Append the skip's channels and pad by one pixel (reflection), in a single copy.

    Differentiable once; backwards several times faster than reflection padding, most of all in channels_last.

    Args:
        features: ``B C H W``.
        skip: ``B C' H W`` or None.

    Returns:
        ``B C+C' H+2 W+2`` in the type of ``features``.
    """
    if torch.compiler.is_exporting():  # other runtimes know the operators of the plain form
        return _joined_padded(features, skip)
    return cast(Tensor, _JoinPad.apply(features, skip))


def upsample_join_pad(features: Tensor, skip: Tensor | None) -> Tensor:
    """Upsample by two (nearest), append the skip's channels, pad by one pixel (reflection), in a single copy.

    One after the other these three steps copy and keep everything three times; together they take a third of
    the time backwards and keep the result only. Differentiable once.

    Args:
        features: ``B C h w``.
        skip: ``B C' 2h 2w`` or None.

    Returns:
        ``B C+C' 2h+2 2w+2`` in the type of ``features``.
    """
    if torch.compiler.is_exporting():
        return _joined_padded(F.interpolate(features, scale_factor=2, mode="nearest"), skip)
    return cast(Tensor, _UpsampleJoinPad.apply(features, skip))


def _joined_padded(features: Tensor, skip: Tensor | None) -> Tensor:
    """Return what `join_pad` does, step by step."""
    joined = features if skip is None else torch.cat([features, skip], 1)
    return F.pad(joined, (1, 1, 1, 1), mode="reflect")


class _JoinPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, skip: Tensor | None) -> Tensor:
        padded, inner = _empty_padded(ctx, features, skip, 1)
        inner[:, : ctx.channels] = features
        return _reflect_border(padded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        of_features = _fold_border(gradient[:, : ctx.channels]) if ctx.needs_input_grad[0] else None
        return of_features, _of_skip(ctx, gradient)


class _UpsampleJoinPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, skip: Tensor | None) -> Tensor:
        padded, inner = _empty_padded(ctx, features, skip, 2)
        for i in (0, 1):
            for j in (0, 1):
                inner[:, : ctx.channels, i::2, j::2] = features
        return _reflect_border(padded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        of_features = None
        if ctx.needs_input_grad[0]:
            of_features = _sum_of_copies(_fold_border(gradient[:, : ctx.channels]))
        return of_features, _of_skip(ctx, gradient)


def _empty_padded(ctx: Any, features: Tensor, skip: Tensor | None, factor: int) -> tuple[Tensor, Tensor]:
    """Return the padded result and its inner part, of which the skip is filled in."""
    batch, channels, height, width = features.shape
    ctx.channels = channels
    ctx.skip_dtype = None if skip is None else skip.dtype
    padded = torch.empty(
        (batch, channels + (0 if skip is None else skip.shape[1]), factor * height + 2, factor * width + 2),
        dtype=features.dtype,
        device=features.device,
        memory_format=_layout(features),
    )
    inner = padded[:, :, 1:-1, 1:-1]
    if skip is not None:
        inner[:, channels:] = skip
    return padded, inner


def _reflect_border(padded: Tensor) -> Tensor:
    padded[:, :, 0], padded[:, :, -1] = padded[:, :, 2], padded[:, :, -3]
    padded[..., 0], padded[..., -1] = padded[..., 2], padded[..., -3]
    return padded


def _of_skip(ctx: Any, gradient: Tensor) -> Tensor | None:
    if not ctx.needs_input_grad[1]:
        return None
    return _fold_border(gradient[:, ctx.channels :]).to(ctx.skip_dtype)


def _sum_of_copies(gradient: Tensor) -> Tensor:
    """Return, for each pixel before nearest upsampling by two, the sum over its four copies."""
    batch, channels, height, width = gradient.shape
    before = [batch, channels, height // 2, width // 2]
    summed: Tensor = torch.ops.aten.upsample_nearest2d_backward(gradient, [height, width], before)
    return summed


def _fold_border(padded: Tensor) -> Tensor:
    """Return the gradient of reflection padding by one pixel."""
    inner = padded[:, :, 1:-1, 1:-1].contiguous(memory_format=_layout(padded))
    for inside, border in ((1, 0), (-2, -1)):
        inner[:, :, inside] += padded[:, :, border, 1:-1]
        inner[..., inside] += padded[:, :, 1:-1, border]
        inner[:, :, inside, 1] += padded[:, :, border, 0]
        inner[:, :, inside, -2] += padded[:, :, border, -1]
    return inner


def _layout(features: Tensor) -> torch.memory_format:
    """Return channels_last where the channels are the innermost dimension."""
    return (
        torch.channels_last if features.stride(1) == 1 and features.shape[1] > 1 else torch.contiguous_format
    )
