"""The best-source photometric error of one scale together with its gradient, in closed form.

Everything here runs on flattened images, so that a 3x3 window sum is nine shifted reads of contiguous memory,
which is what makes it fast; nothing here is recorded by autograd. ``photometric_error`` is the readable form
of the same.

Shapes: B samples, N sources. An image of H x W pixels gets a reflected border of one pixel and becomes rows
    of
w = W + 2 numbers, flattened, with 2 w + 2 zeros at both ends: length L. The windows that start at each of
these positions have length M = L - 2 w - 2; those that are no pixel of the image (the last two of a row, and
both ends) carry numbers without meaning and are masked by ``inside``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.losses.ssim import SSIM_C1, SSIM_C2

C1, C2 = 81 * SSIM_C1, 81 * SSIM_C2


class Target(NamedTuple):
    """The target image and what SSIM needs of it, shared by all sources and scales."""

    image: Tensor  # B 3 L
    total: Tensor  # B 3 M, window sum Y
    luminance: Tensor  # B 3 M, Y² + c1
    variance: Tensor  # B 3 M, 9 window sums of y² - Y² + c2

    def samples(self, chunk: slice) -> Target:
        """Return some of the samples."""
        return Target(*(part[chunk] for part in self))


class Similarity(NamedTuple):
    """SSIM = 4 A1 A2 / (B1 B2) of sums instead of means, each ``N B 3 M``.

    With the window sums X, Y, XX, YY, XY, and c = 81 C: A1 = X Y + c1 / 2, A2 = 9 XY - X Y + c2 / 2,
    B1 = X² + Y² + c1, B2 = 9 XX - X² + 9 YY - Y² + c2.
    """

    total: Tensor  # X
    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    inverse: Tensor  # 1 / (B1 B2)
    ratio: Tensor  # SSIM / 4


class Explained(NamedTuple):
    """How well the warped sources explain the target, summed over all pixels, and that sum's gradient."""

    minimum: Tensor  # scalar, after the auto-mask
    reprojection: Tensor  # scalar, before the auto-mask
    masked: Tensor  # scalar, number of pixels where an unwarped source is as good
    gradient: Tensor | None  # N B 3 (L without its ends), of ``minimum`` with respect to the warped sources


def border(image: Tensor) -> Tensor:
    """Flatten images ``... H W`` that have their reflected border already, and put zeros at both ends."""
    end = 2 * image.shape[-1] + 2
    return F.pad(image.flatten(-2), (end, end))


def inside_mask(height: int, width: int, like: Tensor) -> Tensor:
    """Return ``M``: 1 where a window belongs to a pixel of an image of ``height`` x ``width``, else 0."""
    mask = F.pad(torch.ones(height, width, dtype=like.dtype, device=like.device), (0, 2))
    return F.pad(mask.flatten()[:-2], (2 * width + 6, 2 * width + 6))


def flatten_windows(pixels: Tensor) -> Tensor:
    """Bring a map of the image's pixels ``... H W`` into the order of the windows, ``... M``."""
    width = pixels.shape[-1]
    return F.pad(F.pad(pixels, (0, 2)).flatten(-2)[..., :-2], (2 * width + 6, 2 * width + 6))


def window_sum(flat: Tensor, width: int) -> Tensor:
    """Return the sum over the 3x3 window starting at each position of flattened rows of ``width`` numbers."""
    columns = flat[..., : -2 * width] + flat[..., width:-width]
    columns += flat[..., 2 * width :]
    sums = columns[..., :-2] + columns[..., 1:-1]
    sums += columns[..., 2:]
    return sums


def describe_target(image: Tensor) -> Target:
    """Compute the target's part of SSIM from its image ``B 3 H W``."""
    width = image.shape[-1] + 2
    flat = border(F.pad(image, (1, 1, 1, 1), mode="reflect"))
    total = window_sum(flat, width)
    square = total * total
    return Target(flat, total, square + C1, 9 * window_sum(flat * flat, width) - square + C2)


def similarity(prediction: Tensor, target: Target, width: int) -> Similarity:
    """Compute SSIM of predictions ``N B 3 L`` with the target."""
    total = window_sum(prediction, width)
    product, square = total * target.total, total * total
    # formed alike, so that rounding cancels where prediction and target are equal
    a2 = window_sum(prediction * target.image, width).mul_(9).sub_(product).add_(C2 / 2)
    b2 = window_sum(prediction * prediction, width).mul_(9).sub_(square).add_(target.variance)
    a1 = product.add_(C1 / 2)
    b1 = square.add_(target.luminance)
    inverse = (b1 * b2).reciprocal_()
    return Similarity(total, a1, a2, b1, b2, inverse, (a1 * a2).mul_(inverse))


def similarity_gradient(
    weight: Tensor, terms: Similarity, prediction: Tensor, target: Target, width: int
) -> Tensor:
    """Return the gradient of ``sum(weight · ssim)`` with respect to the prediction.

    The derivatives of SSIM by X, XX and XY are 4 (Y (A2 - A1) - X ratio (B2 - B1) 2) / (B1 B2),
    -9 SSIM / B2 and 36 A1 / (B1 B2). The adjoint of a window sum is a window sum that ends, instead of
    starts, at a position. No pixel is left out, because SSIM never leaves [-1, 1].
    """
    common = (4 * weight) * terms.inverse
    similar = common * terms.ratio
    rising = (terms.a2 - terms.a1).mul_(common).mul_(target.total)
    falling = (terms.b2 - terms.b1).mul_(similar)
    of_total = window_sum(rising.addcmul_(falling, terms.total, value=-2), width)
    of_squares = window_sum(similar.mul_(terms.b1), width)
    of_product = window_sum(common.mul_(terms.a1), width)
    end = 2 * width + 2
    of_total.addcmul_(of_product, target.image[..., end:-end], value=9)
    return of_total.addcmul_(of_squares, prediction[..., end:-end], value=-18)


def photometric_errors(
    prediction: Tensor, target: Target, ssim_weight: float, width: int
) -> tuple[Tensor, Tensor, Similarity | None]:
    """Return the errors ``N B 1 M``, the differences ``N B 3 M`` and SSIM's terms where it has a weight."""
    difference = (prediction - target.image)[..., width + 1 : -width - 1]
    errors = difference.abs().sum(2, keepdim=True).mul_((1 - ssim_weight) / 3)
    if not ssim_weight:
        return errors, difference, None
    terms = similarity(prediction, target, width)
    # (1 - SSIM) / 2 of three channels; rounding may lift SSIM above 1
    alike = terms.ratio.clamp(max=0.25).sum(2, keepdim=True)
    dissimilarity = alike.mul_(-2).add_(1.5)
    return errors.add_(dissimilarity, alpha=ssim_weight / 3), difference, terms


def choose(errors: Tensor, average: bool) -> tuple[Tensor, Tensor]:
    """Return the smallest (or the average) of the errors ``N B 1 M`` and each source's share in it."""
    if average:
        return errors.mean(0), torch.full_like(errors, 1 / len(errors))
    smallest = errors.amin(0)
    shares = [errors[0] == smallest]
    taken = shares[0]
    for error in errors[1:]:
        shares.append((error == smallest) & ~taken)
        taken = taken | shares[-1]
    return smallest, torch.stack(shares).to(errors.dtype)


def explain(
    prediction: Tensor,
    target: Target,
    inside: Tensor,
    identity: Tensor | None,
    ssim_weight: float,
    average: bool,
    width: int,
    needs_gradient: bool,
) -> Explained:
    """Choose the best source for each pixel and sum its error where it beats the auto-mask.

    Args:
        prediction: warped sources ``N B 3 L``.
        target: the target's part.
        inside: ``M``, see :func:`inside_mask`.
        identity: ``B 1 M`` smallest error of the unwarped sources; None without auto-mask.
        ssim_weight: weight of the SSIM term, the absolute difference has the rest.
        average: average the sources instead of taking the best one.
        width: W + 2.
        needs_gradient: whether to compute the gradient.
    """
    errors, difference, terms = photometric_errors(prediction, target, ssim_weight, width)
    reprojection, share = choose(errors, average)
    minimum, better = reprojection, inside
    if identity is not None:
        # with equal errors the unwarped source is chosen, since it stands first among the candidates
        better = inside * (reprojection < identity)
        minimum = torch.minimum(reprojection, identity)
    gradient = None
    if needs_gradient:
        share = share * better
        sign = difference[..., width + 1 : -width - 1].sign()
        of_difference = share[..., width + 1 : -width - 1] * ((1 - ssim_weight) / 3)
        if terms is None:
            gradient = sign.mul_(of_difference)
        else:
            weight = share * (-ssim_weight / 6)
            gradient = similarity_gradient(weight, terms, prediction, target, width)
            gradient.addcmul_(sign, of_difference)
    masked = (inside - better).sum()
    return Explained((minimum * inside).sum(), (reprojection * inside).sum(), masked, gradient)
