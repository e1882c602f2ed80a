"""Images brought to a size that a network computes: padded, resized, and how far."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
"""(height, width) px."""


def ceil(side: int, step: int) -> int:
    """Return side / step rounded up, in whole numbers.

    Written so that an export, for which the side is a symbol, sees of ``step * ceil(side, step)`` in every
    layer that it can be halved; else it writes down sums that grow from layer to layer.
    """
    return (side + step - 1) // step


def next_multiples(size: Size, steps: Size) -> Size:
    """Return the least (height, width) of at least ``size`` that the steps divide."""
    height, width = (step * ceil(side, step) for side, step in zip(size, steps, strict=True))
    return height, width


def nearest_multiple(side: int, step: int) -> int:
    """Return the multiple of ``step`` that is nearest to a side, at least one."""
    if side % step == 0:  # also known of a size that is a symbol, in an export
        return side
    return max(1, round(side / step)) * step


def pad(images: Tensor, size: Size) -> Tensor:
    """Return images ``B C H W`` with their right and lower border repeated up to (height, width)."""
    if not _open(images, size) and tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.pad(images, _more(images, size), mode="replicate")


def crop(features: Tensor, size: Sequence[int]) -> Tensor:
    """Return features ``B C H W`` cut on the right and below to (height, width), which is no larger."""
    if not _open(features, size):
        return features[..., : size[0], : size[1]]
    return F.pad(features, _more(features, size))  # a slice would have to be one, also of nothing


def _more(images: Tensor, size: Sequence[int]) -> tuple[int, int, int, int]:
    """Return how many columns and rows are to be added on the right and below; less than 0: taken away."""
    return 0, size[1] - images.shape[-1], 0, size[0] - images.shape[-2]


def _open(images: Tensor, size: Sequence[int]) -> bool:
    """Return whether a side is a symbol, of an export: then nothing may depend on what it is."""
    return not all(isinstance(side, int) for side in (*images.shape[-2:], *size))


def resize(images: Tensor, size: list[int]) -> Tensor:
    """Return images ``B C H W`` resized bilinearly to (height, width); those that have it as they are."""
    if list(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
