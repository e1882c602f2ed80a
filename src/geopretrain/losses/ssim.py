"""Structural similarity of images over square windows, with its gradient in closed form.

Written plainly, SSIM keeps some twenty maps of the size of the image for the backward pass; here three are
kept beside the images. (On a CPU training takes the loops of `losses.photometric_loops` instead.)

With window sums X, Y, XX, YY, XY over n pixels and c = n² C: SSIM = A1 A2 / (B1 B2), where A1 = 2 X Y + c1,
A2 = 2 (n XY - X Y) + c2, B1 = X² + Y² + c1, B2 = n XX - X² + n YY - Y² + c2 (Wang et al. 2004, equation 13).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from geopretrain.geometry import check_shapes
from geopretrain.losses import compiling

SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
"""Constants of SSIM (Wang et al. 2004) for images in [0, 1]."""


def ssim_dissimilarity(x: Tensor, y: Tensor, window: int = 3, compiled: bool = False) -> Tensor:
    """Return (1 - SSIM) / 2 clamped to [0, 1]; means over windows, reflection padding (Monodepth2, eq. 2).

    Differentiable once, by both images.

    Args:
        x: images ``B C H W`` in [0, 1].
        y: images ``B C H W`` in [0, 1].
        window: side of the windows in px, odd: 3 in Monodepth2, 7 in SC-Depth.
        compiled: run the arithmetic through ``torch.compile``.

    Returns:
        ``B C H W``; 0 where the neighbourhoods are equal.

    Raises:
        ValueError: the shapes differ, the window is even, or its half is not smaller than the images.
        ConfigError: ``compiled`` without a C++ compiler.
    """
    check_shapes(("x", x, "B C H W"), ("y", y, "B C H W"))
    check_window(window, x)
    return cast(Tensor, _Dissimilarity.apply(x, y, window, compiled))


def check_window(window: int, images: Tensor) -> None:
    """Raise ValueError unless windows of this side can be laid around all pixels of images ``... H W``."""
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd, got {window}")
    if window // 2 >= min(images.shape[-2:]):
        raise ValueError(
            f"a window of {window} px needs images larger than {window // 2} px, got {tuple(images.shape)}"
        )


class _Terms(NamedTuple):
    """SSIM and what it is made of, each ``b C H W``; ``inverse`` is 1 / (B1 B2)."""

    total_x: Tensor
    total_y: Tensor
    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    inverse: Tensor
    ssim: Tensor


class _Dissimilarity(torch.autograd.Function):
    """SSIM's dissimilarity and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, window: int, compiled: bool) -> Tensor:
        compute = compiling.compiled(_value_and_derivatives) if compiled else _value_and_derivatives
        value, *derivatives = compute(x, y, window, ctx.needs_input_grad[:2])
        ctx.save_for_backward(x, y, *derivatives)
        ctx.window, ctx.compiled = window, compiled
        return cast(Tensor, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, Any, None, None]:
        x, y, by_product, by_squares, *by_totals = ctx.saved_tensors
        compute = compiling.compiled(_gradient) if ctx.compiled else _gradient
        results: list[Tensor | None] = [None, None]
        for side, (own, other) in enumerate(((x, y), (y, x))):
            if ctx.needs_input_grad[side]:
                maps = own, other, by_product, by_squares, by_totals.pop(0)
                results[side] = compute(ctx.window, gradient, *maps)
        return results[0], results[1], None, None


def _value_and_derivatives(x: Tensor, y: Tensor, window: int, needed: tuple[bool, bool]) -> list[Tensor]:
    """Return (1 - SSIM) / 2 and, where a gradient is needed, its derivatives."""
    terms = _terms(_padded(x, window), _padded(y, window), window)
    value = (terms.ssim * -0.5 + 0.5).clamp(0, 1)
    return [value, *_derivatives(terms, window, needed)] if any(needed) else [value]


def _derivatives(terms: _Terms, window: int, needed: tuple[bool, bool]) -> list[Tensor]:
    """Return the derivatives of (1 - SSIM) / 2 by XY, by XX and YY (halved), and by those of X, Y needed.

    Those of SSIM are 2 n A1 / (B1 B2) by XY, -n SSIM / B2 by XX and YY, and by X (likewise Y)
    2 (Y (A2 - A1) - X SSIM (B2 - B1)) / (B1 B2). SSIM never leaves [-1, 1], but for rounding.
    """
    common = -terms.inverse
    similar = common * terms.ssim
    results = [(common * terms.a1).mul_(window**2), (similar * terms.b1).mul_(-(window**2))]
    rising = (terms.a2 - terms.a1).mul_(common)
    falling = (terms.b2 - terms.b1).mul_(similar)
    totals = ((terms.total_x, terms.total_y), (terms.total_y, terms.total_x))
    for need, (own, other) in zip(needed, totals, strict=True):
        if need:
            results.append(torch.addcmul(rising * other, falling, own, value=-1))
    return results


def _gradient(
    window: int,
    gradient: Tensor,
    own: Tensor,
    other: Tensor,
    by_product: Tensor,
    by_squares: Tensor,
    by_total: Tensor,
) -> Tensor:
    """Carry the gradient of the values through the window sums to the image ``own``."""
    whole = _spread(gradient * by_total, window)
    whole.addcmul_(_spread(gradient * by_product, window), _padded(other, window))
    whole.addcmul_(_spread(gradient * by_squares, window), _padded(own, window))
    return _fold(whole, window // 2)


def _terms(x: Tensor, y: Tensor, window: int) -> _Terms:
    """Compute SSIM of padded images; products are formed alike, so that rounding cancels where x equals y."""
    count = window**2
    total_x, total_y = box_sum(x, window), box_sum(y, window)
    product = total_x * total_y
    squares = (total_x * total_x).add_(total_y * total_y)
    a2 = box_sum(x * y, window).mul_(count).sub_(product).mul_(2).add_(count**2 * SSIM_C2)
    b2 = box_sum((x * x).add_(y * y), window).mul_(count).sub_(squares).add_(count**2 * SSIM_C2)
    a1 = product.mul_(2).add_(count**2 * SSIM_C1)
    b1 = squares.add_(count**2 * SSIM_C1)
    inverse = (b1 * b2).reciprocal_()
    return _Terms(total_x, total_y, a1, a2, b1, b2, inverse, (a1 * a2).mul_(inverse))


def box_sum(images: Tensor, window: int = 3) -> Tensor:
    """Return the sums over all square windows inside the images (``... H W`` to ``... H-2 W-2`` for 3)."""
    return _sum_along(_sum_along(images, -2, window), -1, window)


def _sum_along(values: Tensor, dim: int, window: int) -> Tensor:
    """Return sums of ``window`` neighbours, put together from sums of 1, 2, 4, ... of them."""
    length = values.shape[dim] - window + 1
    total: Tensor | None = None
    offset, size = 0, 1
    while window:
        if window % 2:
            part = values.narrow(dim, offset, length)
            total = part if total is None else total + part
            offset += size
        window //= 2
        if window:
            rest = values.shape[dim] - size
            values = values.narrow(dim, 0, rest) + values.narrow(dim, size, rest)
            size *= 2
    return cast(Tensor, total)


def _spread(values: Tensor, window: int) -> Tensor:
    """Give each pixel the sum over the windows that it is in (the adjoint of :func:`box_sum`)."""
    return box_sum(F.pad(values, (window - 1,) * 4), window)


def _padded(image: Tensor, window: int) -> Tensor:
    return F.pad(image, (window // 2,) * 4, mode="reflect")


def _fold(padded: Tensor, border: int) -> Tensor:
    """Add the reflected border to the pixels it was copied from (the adjoint of reflection padding)."""
    for dim in (-2, -1):
        size = padded.shape[dim] - 2 * border
        inner = padded.narrow(dim, border, size)
        inner.narrow(dim, 1, border).add_(padded.narrow(dim, 0, border).flip(dim))
        inner.narrow(dim, size - 1 - border, border).add_(padded.narrow(dim, border + size, border).flip(dim))
        padded = inner
    return padded
