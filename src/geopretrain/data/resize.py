"""The resize every frame of a store goes through: crop, image, depth map."""

from __future__ import annotations

import numpy as np

from geopretrain.errors import DataError
from geopretrain.wording import in_px

_ASPECT_TOLERANCE = 0.1


def central_crop(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width): everything, or the centre where the aspect differs by over 10 %."""
    height, width = original
    wanted = size[1] / size[0]
    if abs(wanted * height / width - 1) <= _ASPECT_TOLERANCE + 1e-6:
        return 0, 0, height, width
    cropped = (height, round(height * wanted)) if wanted < width / height else (round(width / wanted), width)
    return (height - cropped[0]) // 2, (width - cropped[1]) // 2, *cropped


def bottom_crop(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of ``size`` in the middle of the lower edge of ``original``.

    MIM-Depth-Estimation and many before it cut 352x1216 out of KITTI's pictures, whose sizes differ by day.

    Raises:
        DataError: the pictures are smaller.
    """
    (height, width), (tall, wide) = original, size
    if tall > height or wide > width:
        raise DataError(
            f"Frames of {in_px(size)} cannot be cut out of pictures of {in_px(original)}. Choose a smaller "
            "--size, or leave --crop away."
        )
    return height - tall, (width - wide) // 2, tall, wide


def resize(image: np.ndarray, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Crop and resize ``H W 3`` uint8, by area averages when it shrinks (no aliasing), else linear."""
    import cv2

    image = apply_crop(image, crop)
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a depth map ``H W`` (0 = no measurement) at (height, width) without averaging.

    Each pixel takes the measurement nearest to its centre among those that fall into it, 0 where none does:
    sparse LiDAR is neither mixed with "no measurement" nor with the depth behind an edge.
    """
    import cv2

    full = (max(depth.shape[0], size[0]), max(depth.shape[1], size[1]))
    if full != depth.shape:  # an axis that grows repeats its measurements
        depth = cv2.resize(depth, full[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = np.nonzero(depth > 0)
    y, x = ((at + 0.5) * to / of for at, to, of in zip((rows, columns), size, full, strict=True))
    target = y.astype(np.int64) * size[1] + x.astype(np.int64)
    from_centre = np.hypot(y % 1 - 0.5, x % 1 - 0.5)
    order = np.argsort(-from_centre, kind="stable")  # where several are written, the last one stays
    small = np.zeros(size[0] * size[1], dtype=depth.dtype)
    small[target[order]] = depth[rows[order], columns[order]]
    return small.reshape(size)


def apply_crop(image: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part (top, left, height, width) of an image or depth map."""
    top, left, height, width = crop
    return image[top : top + height, left : left + width]
