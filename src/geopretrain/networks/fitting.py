"""Images brought to a size that a network computes: padded, resized, and how far."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
"""(height, width) px."""


def ceil(side: int, step: int) -> int:
    """Return side / step rounded up, in whole numbers: an export follows them with symbols for sides."""
    return -(-side // step)


def next_multiples(size: Size, steps: Size) -> Size:
    """Return the least (height, width) of at least ``size`` that the steps divide."""
    height, width = (max(1, ceil(side, step)) * step for side, step in zip(size, steps, strict=True))
    return height, width


def nearest_multiple(side: int, step: int) -> int:
    """Return the multiple of ``step`` that is nearest to a side, at least one."""
    if side % step == 0:  # also known of a size that is a symbol, in an export
        return side
    return max(1, round(side / step)) * step


def pad(images: Tensor, size: Size) -> Tensor:
    """Return images ``B C H W`` with their right and lower border repeated up to (height, width)."""
    height, width = images.shape[-2:]
    if (height, width) == size:
        return images
    return F.pad(images, (0, size[1] - width, 0, size[0] - height), mode="replicate")


def resize(images: Tensor, size: list[int]) -> Tensor:
    """Return images ``B C H W`` resized bilinearly to (height, width); those that have it as they are."""
    if list(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
